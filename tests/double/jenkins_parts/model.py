"""The state of a master: people, sessions, items (folders and jobs), the queue, nodes and builds. One lock for all of it."""
import copy
import hashlib
import itertools
import re
import secrets
import threading
import time
import xml.etree.ElementTree as etree

RESULTS = ('SUCCESS', 'UNSTABLE', 'FAILURE', 'NOT_BUILT', 'ABORTED')
LEFT_SECONDS = 300  # how long an item that left the queue is told of
FOLDER = 'com.cloudbees.hudson.plugins.folder.Folder'
PARAMETERS = {'StringParameterDefinition': 'StringParameterValue', 'TextParameterDefinition': 'TextParameterValue',
              'BooleanParameterDefinition': 'BooleanParameterValue', 'ChoiceParameterDefinition': 'StringParameterValue'}
# What a class in an XML document comes from, when it is not core: such a document is refused where the plugin is missing.
PLUGIN_OF = {FOLDER: 'cloudbees-folder', 'flow-definition': 'workflow-job', 'hudson.slaves.CommandLauncher': 'command-launcher',
             'hudson.plugins.sshslaves.SSHLauncher': 'ssh-slaves', 'hudson.plugins.ws__cleanup.PreBuildCleanup': 'ws-cleanup',
             'hudson.plugins.timestamper.TimestamperBuildWrapper': 'timestamper', 'hudson.model.ListView': None, 'hudson.model.AllView': None,
             'hudson.plugins.git.GitSCM': 'git', 'hudson.plugins.build__timeout.BuildTimeoutWrapper': 'build-timeout'}
UNSAFE = re.compile(r'[?*/\\%!@#$^&|<>\[\]:;\x00-\x1f\x7f]')


class Refusal(Exception):
    """An answer that is an error page; `how`: page (with the headers of Jenkins' own pages) or bare (the servlet container's)."""
    def __init__(self, status, text, how='page', headers=None):
        super().__init__(text)
        self.status, self.text, self.how, self.headers = status, text, how, headers or {}


def failure(text):
    return Refusal(400, text)


def oops(text):
    return Refusal(500, text)


def check_name(name):
    """jenkins.model.Jenkins.checkGoodName"""
    name = (name or '').strip()
    if not name:
        raise failure('No name is specified')
    if name in ('.', '..'):
        raise failure('“%s” is not an allowed name' % name)
    unsafe = UNSAFE.search(name)
    if unsafe:
        raise failure('‘%s’ is an unsafe character' % unsafe.group())
    if name.endswith('.'):
        raise failure('A name cannot end with ‘.’')
    return name


def parse_xml(body, plugins, error=oops):
    """The root of a document, as XStream would take it: 1.1 is a version, and a class of a plugin that is missing is not known."""
    text = body.decode('utf-8', 'replace') if isinstance(body, bytes) else body
    text = re.sub(r'^\s*<\?xml[^>]*\?>', '', text)
    try:
        root = etree.fromstring(text)
    except etree.ParseError as reason:
        raise error('Unable to read config.xml: %s' % reason) from reason
    for element in root.iter():
        for name in (element.tag, element.get('class', ''), element.get('stapler-class', '')):
            if PLUGIN_OF.get(name) and PLUGIN_OF[name] not in plugins:
                raise error('CannotResolveClassException: %s' % name)
    return root


def shown_xml(root):
    return b"<?xml version='1.1' encoding='UTF-8'?>\n" + etree.tostring(root, encoding='utf-8') + b'\n'


class Person:
    """role: admin (all), build (reads, builds, cancels), read, none (may log in and see nothing)."""
    def __init__(self, name, password, role='admin'):
        self.name, self.password, self.role, self.tokens = name, password, role, {}

    def new_token(self, name):
        value = '11' + secrets.token_hex(16)
        uuid = secrets.token_hex(16)
        self.tokens[value] = (name, uuid)
        return uuid, value


ANONYMOUS = Person('anonymous', None, 'none')


class Item:
    def __init__(self, world, parent, name, root):
        self.world, self.parent, self.name, self.root = world, parent, name, root

    @property
    def full_name(self):
        return self.name if self.parent.parent is None else '%s/%s' % (self.parent.full_name, self.name)

    @property
    def path(self):
        return '%sjob/%s/' % (self.parent.path, self.name)


class Folder(Item):
    """The master itself, too, which has no parent."""
    def __init__(self, world, parent, name, root):
        super().__init__(world, parent, name, root)
        self.items, self.views = {}, {}

    @property
    def full_name(self):
        return '' if self.parent is None else super().full_name

    @property
    def path(self):
        return '' if self.parent is None else super().path

    def jobs(self):
        for item in self.items.values():
            if isinstance(item, Folder):
                yield from item.jobs()
            else:
                yield item


class Job(Item):
    def __init__(self, world, parent, name, root):
        super().__init__(world, parent, name, root)
        self.builds, self.next_number = {}, 1
        self.configure(root)

    def configure(self, root):
        if root.tag != 'project':
            raise oops('CannotResolveClassException: %s' % root.tag)
        parameters = {}
        for given in root.iterfind('properties/hudson.model.ParametersDefinitionProperty/parameterDefinitions/*'):
            kind = given.tag.rsplit('.', 1)[-1]
            if kind not in PARAMETERS:
                raise oops('CannotResolveClassException: %s' % given.tag)
            default = given.findtext('defaultValue') or ''
            if kind == 'ChoiceParameterDefinition':
                choices = [each.text or '' for each in given.iterfind('choices//string')]
                default = choices[0] if choices else ''
            parameters[given.findtext('name')] = (kind, default, given.findtext('description') or '')
        steps = []
        for builder in root.iterfind('builders/*'):
            if builder.tag != 'hudson.tasks.Shell':
                raise oops('CannotResolveClassException: %s' % builder.tag)
            steps.append((builder.findtext('command') or '', int(builder.findtext('unstableReturn') or 0)))
        self.root, self.parameters, self.steps = root, parameters, steps
        self.disabled = root.findtext('disabled') == 'true'
        self.concurrent = root.findtext('concurrentBuild') == 'true'
        self.label = (root.findtext('assignedNode') or '').strip()
        quiet = root.findtext('quietPeriod')
        self.quiet_period = int(quiet) if quiet else None
        keep = root.findtext('.//numToKeep')
        self.keep = int(keep) if keep and int(keep) > 0 else None
        self.description = root.findtext('description') or ''

    def set_disabled(self, disabled):
        self.disabled = disabled
        element = self.root.find('disabled')
        if element is None:
            element = etree.SubElement(self.root, 'disabled')
        element.text = 'true' if disabled else 'false'

    def last(self):
        return self.builds[max(self.builds)] if self.builds else None

    def building(self):
        return [build for build in self.builds.values() if build.building]

    def discard(self):
        """What the job's log rotation takes; a build that runs is left."""
        for number in sorted(self.builds)[:-self.keep] if self.keep else ():
            if not self.builds[number].building:
                del self.builds[number]


class QueueItem:
    WAITING, BLOCKED, BUILDABLE, LEFT = 'WaitingItem', 'BlockedItem', 'BuildableItem', 'LeftItem'

    def __init__(self, number, job, values, cause, due):
        self.id, self.job, self.values, self.causes, self.due = number, job, values, [cause], due
        self.state, self.since, self.buildable_since = self.WAITING, time.time(), None
        self.why, self.cancelled, self.build, self.left = None, False, None, None

    @property
    def path(self):
        return 'queue/item/%d/' % self.id


class Build:
    def __init__(self, job, item, node):
        self.job, self.number, self.item, self.node = job, job.next_number, item, node
        self.queue_id, self.values, self.causes = item.id, item.values, item.causes
        self.result, self.building, self.begun, self.duration = None, True, time.time(), 0
        self.log, self.runner = bytearray(), None

    @property
    def path(self):
        return '%s%d/' % (self.job.path, self.number)

    def say(self, text):
        self.log += text if isinstance(text, bytes) else text.encode()


class Node:
    """A computer. One with the inbound launcher is offline until its agent connects."""
    def __init__(self, name, root, built_in=False):
        self.name, self.root, self.built_in = name, root, built_in
        self.connected, self.offline_reason, self.secret = built_in, None, secrets.token_hex(32)
        self.busy = {}
        self.configure(root)

    def configure(self, root):
        self.root = root
        self.executors = int(root.findtext('numExecutors') or 1)
        self.labels = set((root.findtext('label') or '').split()) | {self.name}
        self.exclusive = root.findtext('mode') == 'EXCLUSIVE'
        self.description = root.findtext('description') or root.findtext('nodeDescription') or ''

    @property
    def offline(self):
        return self.offline_reason is not None or not self.connected

    def takes(self, label):
        """A label, or labels with && between them; a job without one goes where any job may."""
        if not label:
            return not self.exclusive
        return all(part.strip().strip('"') in self.labels for part in label.split('&&'))

    def free(self):
        return next((number for number in range(self.executors) if number not in self.busy), None)


class Session:
    def __init__(self):
        self.id = 'node0' + secrets.token_hex(12) + '0.node0'


class World:
    def __init__(self):
        self.lock = threading.RLock()
        self.wake = threading.Condition(self.lock)
        self.settings = {
            'version': '2.541.3',
            'quiet_period': 5,       # seconds that a build waits when the request says nothing
            'save_delay': 60,        # seconds after which the queue is saved
            'gap': 0.0,              # seconds between an item's leaving the queue and its build's existence; set to 0: now
            'startup': 0.0,          # seconds of 503 after a restart; set to 0: no more
            'crumbs': True,          # POSTs need one
            'anonymous_read': False,
            'stop_kills': False,     # whether a stop ends the processes of the build, too
            'root_url': None,        # what links in JSON begin with; None: as the first listener is called
            'form_limit': 200000,    # bytes of a form that the servlet container reads
            'header_limit': 8192,    # bytes of request line and headers
            'executors': 2,          # of the built-in node
        }
        self.people, self.sessions = {}, {}
        self.plugins = {'cloudbees-folder': '6.1062.v2877b_d6b_b_eeb_'}
        self.top = Folder(self, None, '', None)
        self.queue, self.left, self.next_id, self.saved, self.save_at = {}, {}, 1, None, None
        self.nodes = {'built-in': Node('built-in', etree.fromstring('<slave><numExecutors>2</numExecutors></slave>'), True)}
        self.quieting, self.starting_until, self.salt = False, 0.0, secrets.token_hex(16)
        self.session_hash = secrets.token_hex(4)
        self.numbers = itertools.count(1)

    # --- items

    def item(self, full_name):
        found = self.top
        for part in full_name.split('/'):
            found = found.items.get(part) if isinstance(found, Folder) else None
        return found

    def create(self, parent, name, body):
        name = check_name(name)
        if name in parent.items:
            raise failure('A job already exists with the name ‘%s’' % name)
        root = parse_xml(body, self.plugins)
        made = (Folder if root.tag == FOLDER else Job)(self, parent, name, root)
        parent.items[name] = made
        return made

    # --- sessions and crumbs

    def session(self, cookie):
        """The session of that id; a new one where there is none."""
        found = self.sessions.get(cookie)
        if not found:
            found = Session()
            self.sessions[found.id] = found
        return found

    def crumb(self, person, session):
        """sha256 of name, session and salt: bound to the user and to the session's cookie."""
        return hashlib.sha256(('%s;%s%s' % (person.name, session.id, self.salt)).encode()).hexdigest()

    # --- the queue

    def schedule(self, job, values, cause, delay):
        """The item, and whether it is new: one with the same parameters that waits takes the cause, and the shorter time."""
        due = time.time() + delay
        for item in self.queue.values():
            if item.job is job and item.values == values and item.state != QueueItem.LEFT:
                item.causes.append(cause)
                item.due = min(item.due, due)
                self.wake.notify_all()
                return item, False
        item = QueueItem(self.next_id, job, values, cause, due)
        self.next_id += 1
        self.queue[item.id] = item
        self.push_save()
        self.wake.notify_all()
        return item, True

    def push_save(self):
        if self.save_at is None:
            self.save_at = time.time() + self.settings['save_delay']

    def save_queue(self):
        self.save_at = None
        self.saved = ([copy.copy(item) for item in self.queue.values()], self.next_id)

    def leave(self, item, cancelled=False):
        del self.queue[item.id]
        item.state, item.cancelled, item.left, item.why = QueueItem.LEFT, cancelled, time.time(), None
        self.left[item.id] = item
        self.push_save()

    def left_item(self, number):
        found = self.left.get(number)
        if found and time.time() - found.left > LEFT_SECONDS:
            del self.left[number]
            found = None
        return found

    def find_queued(self, number):
        return self.queue.get(number) or self.left_item(number)

    def forget_queue(self, saved):
        """What a restart leaves of the queue. A file that was read is put aside, so that the next restart finds none but what is saved
        after this one; the number of the next item is in the same file."""
        items, self.next_id = saved or ([], 1)
        self.queue, self.left, self.saved, self.save_at = {item.id: item for item in items}, {}, None, None
        for item in items:
            item.state = QueueItem.WAITING if item.state == QueueItem.LEFT else item.state
