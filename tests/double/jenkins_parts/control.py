"""What a test asks of the double, which no Jenkins has: POST /control/VERB with a JSON object, on a port of its own."""
import http.server
import json
import re
import threading
import time
import xml.etree.ElementTree as etree

from . import beans
from .builds import Plan
from .model import FOLDER, RESULTS, Build, Folder, Node, Person, QueueItem, Refusal
from .rest import HTML, Answer


class Fault:
    """What happens to requests whose method and path (with query and body) match, so many times:
    status, headers, body    answered instead; `after`: though the request took effect; `late`: it takes effect so many seconds later
    delay                    seconds before anything; hang: seconds without an answer, then the connection ends
    close                    the connection ends without an answer (with `after`: once the request took effect)
    half                     the connection ends in the middle of the body; trickle: seconds between its bytes
    replace                  [[pattern, text], …] in the body of the true answer"""
    NAMES = {'method': None, 'path': '', 'times': 1, 'status': None, 'headers': {}, 'body': '', 'delay': 0, 'hang': 0, 'close': False,
             'half': False, 'trickle': 0, 'after': False, 'late': 0, 'replace': []}

    def __init__(self, given):
        unknown = set(given) - set(self.NAMES)
        if unknown:
            raise Refusal(400, 'fault: %s: not one of %s' % (', '.join(sorted(unknown)), ', '.join(sorted(self.NAMES))))
        for name, default in self.NAMES.items():
            setattr(self, name, given.get(name, default))

    def takes(self, request):
        whole = '%s?%s\n%s' % (request.path, request.query_text, request.body.decode('utf-8', 'replace'))
        if self.times <= 0 or (self.method and self.method != request.method) or not re.search(self.path, whole):
            return False
        self.times -= 1
        return True

    def answer(self):
        answer = Answer(self.status or 0, self.body.encode(), HTML)
        answer.headers.update(self.headers)
        return answer


class Control:
    def __init__(self, world, builds, front):
        self.world, self.builds, self.front = world, builds, front
        self.faults, self.asked, self.turn = [], [], threading.Lock()
        self.traffic = {'requests': 0, 'bytes_in': 0, 'bytes_out': 0}

    def fault_for(self, request):
        with self.turn:
            return next((fault for fault in self.faults if fault.takes(request)), None)

    def note(self, request, answer, began):
        self.traffic['requests'] += 1
        self.traffic['bytes_in'] += request.size + len(request.body)
        self.asked.append({
            'number': len(self.asked) + 1, 'method': request.method, 'path': request.path, 'query': request.query_text,
            'body': request.body.decode('utf-8', 'replace')[:65536], 'person': request.person.name, 'token': request.by_token,
            'status': answer.status, 'time': began, 'ignored': request.ignored, 'headers': {
                name.lower(): value for name, value in request.headers.items() if name.lower() != 'authorization'}})

    def serve(self, verb, text):
        act = getattr(self, 'do_' + verb.replace('-', '_'), None)
        if not act:
            raise Refusal(404, 'no such verb: %s' % verb)
        try:
            given = json.loads(text or b'{}')
            if verb in ('restart', 'fault', 'clear'):
                return act(given)
            with self.world.lock:
                found = act(given)
                self.world.wake.notify_all()
                return found
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise Refusal(400, '%s: %s: %s' % (verb, type(error).__name__, error)) from error

    def job(self, given):
        job = self.world.item(given['job'])
        if not job:
            raise Refusal(404, 'no job %s' % given['job'])
        return job

    def build(self, given):
        job = self.job(given)
        number = given.get('build') or max(job.builds, default=0)
        if number not in job.builds:
            raise Refusal(404, 'no build %s of %s' % (number, job.full_name))
        return job.builds[number]

    # --- people

    def do_user(self, given):
        person = self.world.people[given['name']] = Person(given['name'], given['password'], given.get('role', 'admin'))
        return {'token': person.new_token('test')[1]}

    def do_revoke(self, given):
        """All tokens of a user; a new password, if one is given."""
        person = self.world.people[given['name']]
        person.tokens, person.password = {}, given.get('password', person.password)
        return {}

    def do_role(self, given):
        self.world.people[given['name']].role = given['role']
        return {}

    def do_expire(self, given):
        """All sessions, and with them their crumbs."""
        self.world.sessions.clear()
        return {}

    # --- jobs, the queue, builds

    def do_job(self, given):
        """A job, with the folders above it: {name, command, parameters: {name: default}, label, xml}."""
        *above, name = given['name'].split('/')
        folder = self.world.top
        for each in above:
            folder = folder.items.get(each) or self.world.create(folder, each, '<%s/>' % FOLDER)
        self.world.create(folder, name, given.get('xml') or self.job_xml(given))
        return {}

    def job_xml(self, given):
        root = etree.Element('project')
        for name, text in (('concurrentBuild', 'true'), ('assignedNode', given.get('label')), ('disabled', 'false'),
                           ('canRoam', 'false' if given.get('label') else 'true')):
            etree.SubElement(root, name).text = text
        if given.get('parameters'):
            place = etree.SubElement(etree.SubElement(etree.SubElement(root, 'properties'), 'hudson.model.ParametersDefinitionProperty'),
                                     'parameterDefinitions')
            for name, default in given['parameters'].items():
                definition = etree.SubElement(place, 'hudson.model.StringParameterDefinition')
                etree.SubElement(definition, 'name').text = name
                etree.SubElement(definition, 'defaultValue').text = default
        builders = etree.SubElement(root, 'builders')
        if given.get('command'):
            etree.SubElement(etree.SubElement(builders, 'hudson.tasks.Shell'), 'command').text = given['command']
        return etree.tostring(root)

    def do_rename(self, given):
        self.builds.rest.rename_to(self.job(given), given['to'])
        return {}

    def do_disable(self, given):
        """As in the user interface: the first that waits in the queue is cancelled."""
        job = self.job(given)
        if given.get('disabled', True):
            self.builds.rest.make_disabled(job)
        else:
            job.set_disabled(False)
        return {}

    def do_delete(self, given):
        job = self.job(given)
        del job.parent.items[job.name]
        return {}

    def do_timer(self, given):
        """The job's timer: a build with the parameters' defaults."""
        job = self.job(given)
        values = [(name, kind, default) for name, (kind, default, _text) in job.parameters.items()]
        return {'id': self.world.schedule(job, values, beans.timer_cause(), 0)[0].id}

    def do_plan(self, given):
        self.builds.plans.insert(0, Plan(given))
        return {}

    def do_say(self, given):
        self.build(given).say(given['text'])
        return {}

    def do_finish(self, given):
        if given['result'] not in RESULTS:
            raise ValueError(given['result'])
        self.build(given).runner.finish(given['result'])
        return {}

    def do_forget(self, given):
        """A build that the master does not know any more, while what it started may run on."""
        build = self.build(given)
        build.runner.stop('')
        del build.job.builds[build.number]
        for number, item in list(self.world.left.items()):
            if item.build is build:
                del self.world.left[number]
        return {}

    def do_drop(self, given):
        """An item of the queue that is lost without a trace; all of them without an id."""
        for number in [given['id']] if 'id' in given else list(self.world.queue):
            del self.world.queue[number]
        return {}

    def do_left(self, given):
        """Nothing of what left the queue is remembered: its five minutes are over."""
        self.world.left.clear()
        return {}

    def do_crowd(self, given):
        """Other people's items in the queue: so many, of a job of theirs that no node takes, with so many bytes of a parameter."""
        name = given.get('job', 'theirs')
        if name not in self.world.top.items:
            self.world.create(self.world.top, name, self.job_xml({'label': 'none-has-it', 'parameters': {'N': '', 'TEXT': ''}}))
        job = self.world.top.items[name]
        for number in range(given['count']):
            values = [('N', 'StringParameterDefinition', str(number)), ('TEXT', 'StringParameterDefinition', 'x' * given.get('bytes', 0))]
            item = QueueItem(self.world.next_id, job, values, beans.cause(next(iter(self.world.people.values()))), 0)
            self.world.next_id += 1
            self.world.queue[item.id] = item
        return {'queued': len(self.world.queue)}

    def do_history(self, given):
        """So many builds of before."""
        job = self.job(given)
        for _ in range(given['count']):
            values = [(name, kind, default) for name, (kind, default, _text) in job.parameters.items()]
            item = QueueItem(self.world.next_id, job, values, beans.timer_cause(), 0)
            self.world.next_id += 1
            item.state = QueueItem.LEFT
            build = item.build = Build(job, item, self.world.nodes['built-in'])
            build.result, build.building, job.builds[build.number] = given.get('result', 'SUCCESS'), False, build
            job.next_number += 1
        return {}

    # --- nodes

    def do_node(self, given):
        """A node whose agent is connected: {name, label, executors}."""
        root = etree.Element('slave')
        for name, text in (('name', given['name']), ('label', given.get('label', '')), ('numExecutors', str(given.get('executors', 1)))):
            etree.SubElement(root, name).text = text
        node = self.world.nodes[given['name']] = Node(given['name'], root)
        node.connected = True
        return {'secret': node.secret}

    def do_connect(self, given):
        self.world.nodes[given['name']].connected = True
        return {}

    def do_disconnect(self, given):
        """The agent is gone: its builds fail, and their processes are left alone."""
        node = self.world.nodes[given['name']]
        node.connected = False
        self.builds.abort_all('FATAL: command execution failed\nhudson.remoting.ChannelClosedException: Channel "%s": Remote call failed\n'
                              % node.name, 'FAILURE', node)
        return {}

    # --- the master itself

    def do_set(self, given):
        unknown = set(given) - set(self.world.settings)
        if unknown:
            raise ValueError('%s: not one of %s' % (', '.join(sorted(unknown)), ', '.join(sorted(self.world.settings))))
        self.world.settings.update(given)
        self.world.nodes['built-in'].executors = self.world.settings['executors']
        if given.get('gap') == 0:
            self.builds.begin_all()
        if given.get('startup') == 0:
            self.world.starting_until = 0
        return dict(self.world.settings)

    def do_plugins(self, given):
        self.world.plugins = given['plugins']
        return {}

    def do_save(self, _given):
        self.world.save_queue()
        return {}

    def do_restart(self, given):
        """{mode, down, lose}: "graceful" saves the queue, "crash" has what was saved last; refused for `down` seconds, then 503 for
        `startup`. Builds that ran are ABORTED (lose: never heard of), their processes left alone."""
        if given.get('mode', 'graceful') not in ('graceful', 'crash'):
            raise ValueError(given['mode'])
        self.front.close()
        with self.world.lock:
            self.builds.down = True
            if given.get('mode', 'graceful') == 'graceful':
                self.world.save_queue()
            running = self.builds.running()
            self.builds.abort_all('')
            for build in running if given.get('lose') else ():
                del build.job.builds[build.number]
            self.world.sessions.clear()
            self.world.session_hash = '%08x' % (int(self.world.session_hash, 16) + 1)
            for node in self.world.nodes.values():
                node.busy.clear()
            self.world.forget_queue(self.world.saved)
            self.world.quieting = False
        time.sleep(given.get('down', 0))
        with self.world.lock:
            self.builds.down = False
            self.world.starting_until = time.time() + self.world.settings['startup']
            self.world.wake.notify_all()
        self.front.open()
        return {}

    def do_fault(self, given):
        with self.turn:
            self.faults.append(Fault(given))
        return {}

    def do_clear(self, _given):
        with self.turn:
            self.faults.clear()
        return {}

    def do_asked(self, given):
        """All that was asked since {"after": number}; the secrets in headers aside."""
        return {'asked': self.asked[given.get('after', 0):]}

    def do_traffic(self, _given):
        return dict(self.traffic, number=len(self.asked), time=time.time())

    def do_state(self, _given):
        """The truth, whatever the API says of it."""
        jobs = {}
        for job in self.world.top.jobs():
            jobs[job.full_name] = {
                'disabled': job.disabled, 'label': job.label, 'builds': [{
                    'number': build.number, 'result': build.result, 'building': build.building, 'queueId': build.queue_id,
                    'node': build.node.name, 'begun': build.begun, 'parameters': {name: value for name, _kind, value in build.values}}
                    for build in job.builds.values()]}
        return {'jobs': jobs, 'queue': [{'id': item.id, 'job': item.job.full_name, 'state': item.state,
                                         'parameters': {name: value for name, _kind, value in item.values}}
                                        for item in self.world.queue.values()],
                'nodes': {node.name: {'offline': node.offline, 'reason': node.offline_reason, 'labels': sorted(node.labels),
                                      'executors': node.executors} for node in self.world.nodes.values()},
                'views': sorted(self.world.top.views), 'folders': [item.full_name for item in self.world.top.items.values()
                                                                   if isinstance(item, Folder)]}

    def do_log(self, given):
        return {'log': self.build(given).log.decode('utf-8', 'replace')}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    disable_nagle_algorithm = True
    control = None

    def log_message(self, *_):
        pass

    def do_POST(self):
        text = self.rfile.read(int(self.headers.get('Content-Length', 0)))
        try:
            if not self.path.startswith('/control/'):
                raise Refusal(404, 'POST /control/VERB')
            status, found = 200, self.control.serve(self.path[len('/control/'):], text)
        except Refusal as refusal:
            status, found = refusal.status, {'error': refusal.text}
        body = json.dumps(found).encode()
        self.send_response(status)
        self.send_header('Content-Type', 'application/json')
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)
