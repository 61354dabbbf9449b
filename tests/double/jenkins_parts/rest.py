"""What a path answers: stapler's walk from the master down to folders, jobs, builds, the queue and nodes."""
import gzip
import json
import re
import urllib.parse
import xml.etree.ElementTree as etree

from . import beans
from .builds import NOTES
from .export import export
from .model import (Folder, Job, Node, QueueItem, Refusal, check_name, failure, oops, parse_xml, shown_xml)

HTML, TEXT, XML, JSON = 'text/html;charset=utf-8', 'text/plain;charset=UTF-8', 'application/xml', 'application/json;charset=utf-8'
RIGHTS = {'admin': {'read', 'build', 'cancel', 'configure', 'administer'}, 'build': {'read', 'build', 'cancel'}, 'read': {'read'}, 'none': set()}
DELAY = re.compile(r'\s*(-?\d+)\s*(secs?)?\s*')


class Answer:
    def __init__(self, status=200, body=b'', kind=None, **headers):
        self.status, self.body, self.headers = status, body, {name.replace('_', '-'): value for name, value in headers.items()}
        if kind:
            self.headers['Content-Type'] = kind


class Rest:
    def __init__(self, world, builds, restart):
        self.world, self.builds, self.restart = world, builds, restart

    def pages(self):
        """The headers of what Jenkins itself shows; X-Hudson is among them."""
        return {'X-Hudson': '1.395', 'X-Jenkins': self.world.settings['version'], 'X-Jenkins-Session': self.world.session_hash}

    def page(self, title, status=200):
        text = '<!DOCTYPE html><html><head><title>%s</title></head><body>%s</body></html>' % (title, title)
        answer = Answer(status, text.encode(), HTML)
        answer.headers.update(self.pages())
        return answer

    def api(self, request, bean):
        answer = Answer(200, export(bean, request.query), JSON, X_Frame_Options='deny', X_Content_Type_Options='nosniff')
        answer.headers.update(self.pages())
        if 'gzip' in request.headers.get('Accept-Encoding', ''):
            answer.body = gzip.compress(answer.body, 1)
            answer.headers['Content-Encoding'] = 'gzip'
        return answer

    def redirect(self, request, path, status=302):
        """Absolute, from what the client called this host."""
        return Answer(status, Location=request.address + path)

    def not_found(self):
        return Refusal(404, 'Not Found')

    # --- who may what

    def need(self, request, right, *, what='Overall/Read'):
        role = request.person.role
        if role == 'none' and self.world.settings['anonymous_read'] and request.person.name == 'anonymous':
            role = 'read'
        if right in RIGHTS[role]:
            return
        headers = {'X-You-Are-Authenticated-As': request.person.name, 'X-Required-Permission': 'hudson.model.%s' % what.replace('/', '.')}
        if request.person.name == 'anonymous':
            raise Refusal(403, 'Authentication required', headers=headers)
        raise Refusal(403, '%s is missing the %s permission' % (request.person.name, what), headers=headers)

    def need_post(self, request):
        if request.method != 'POST':
            raise Refusal(405, 'This URL requires POST', headers={'Allow': 'POST'})

    # --- the walk

    def serve(self, request):
        parts = [urllib.parse.unquote(part) for part in request.path.split('/')[1:]]
        if parts and parts[0] in ('login', 'logout', 'securityRealm'):
            return self.page('Sign in')
        if parts[0] == 'whoAmI' and parts[1:] == ['api', 'json']:
            return self.api(request, beans.who(request.person))
        self.need(request, 'read')
        return self.folder(request, self.world.top, parts)

    def folder(self, request, folder, parts):
        name, rest = parts[0], parts[1:]
        act = self.FOLDER.get(name)
        if act:
            return act(self, request, folder, rest)
        if folder.parent is None and name in self.TOP:
            return self.TOP[name](self, request, rest)
        if folder.parent is not None and name in self.ITEM:
            return self.ITEM[name](self, request, folder, rest)
        raise self.not_found()

    def index(self, request, folder, _rest):
        return self.page(folder.full_name or 'Dashboard')

    def folder_api(self, request, folder, rest):
        if rest != ['json']:
            raise self.not_found()
        return self.api(request, beans.folder(self.world, folder))

    def below(self, request, folder, rest):
        """job/NAME/…; without the last slash it is a redirect to where that is."""
        item = folder.items.get(rest[0]) if rest else None
        if not item:
            raise self.not_found()
        if len(rest) == 1:
            return self.redirect(request, '/' + item.path)
        if isinstance(item, Folder):
            return self.folder(request, item, rest[1:])
        return self.job(request, item, rest[1:])

    # --- items

    def create_item(self, request, folder, rest):
        self.need_post(request)
        self.need(request, 'configure', what='Job/Create')
        kind, mode = request.headers.get('Content-Type'), request.one('mode')
        if kind is None and mode != 'copy':
            raise failure('No Content-Type header set')
        name = request.one('name')
        if name is None:
            raise failure('Query parameter \'name\' is required')
        if mode == 'copy':
            source = folder.items.get(request.one('from') or '')
            if not source:
                raise failure('No such job: %s' % request.one('from'))
            self.world.create(folder, name, shown_xml(source.root))
            return self.redirect(request, '/%s%s/configure' % (folder.path + 'job/', urllib.parse.quote(name)))
        if not kind.startswith(('application/xml', 'text/xml')):
            raise failure('No mode given')
        self.world.create(folder, name, request.body)
        return Answer()

    def config(self, request, item, _rest):
        if request.method == 'POST':
            self.need(request, 'configure', what='Job/Configure')
            root = parse_xml(request.body, self.world.plugins)
            if isinstance(item, Job):
                item.configure(root)
            else:
                item.root = root
            self.world.wake.notify_all()
            return Answer()
        self.need(request, 'configure', what='Job/ExtendedRead')
        return Answer(200, shown_xml(item.root), XML)

    def make_disabled(self, job):
        """Of what waits, the first is cancelled."""
        first = min((each for each in self.world.queue.values() if each.job is job), key=lambda each: (each.due, each.id), default=None)
        if first and not job.disabled:
            self.world.leave(first, cancelled=True)
        job.set_disabled(True)

    def drop_queued(self, job):
        for item in [each for each in self.world.queue.values() if each.job is job]:
            self.world.leave(item, cancelled=True)

    def delete(self, request, item, _rest):
        self.need_post(request)
        return self.delete_item(request, item, 302)

    def delete_item(self, request, item, status):
        self.need(request, 'configure', what='Job/Delete')
        for job in [item] if isinstance(item, Job) else list(item.jobs()):
            self.drop_queued(job)
            for build in job.building():
                build.runner.stop('Aborted by %s\n' % request.person.name)
        del item.parent.items[item.name]
        for view in item.parent.views.values():
            view[:] = [name for name in view if name != item.name]
        return self.redirect(request, '/' + item.parent.path) if status == 302 else Answer(204)

    def rename(self, request, item, _rest):
        self.need_post(request)
        self.need(request, 'configure', what='Job/Configure')
        self.rename_to(item, request.one('newName'))
        return self.redirect(request, '/' + item.path)

    def rename_to(self, item, name):
        name = check_name(name)
        if name in item.parent.items:
            raise failure('The name “%s” is already in use.' % name)
        item.parent.items = {name if key == item.name else key: value for key, value in item.parent.items.items()}
        item.name = name

    # --- jobs

    def job(self, request, job, parts):
        name, rest = parts[0], parts[1:]
        if name == '' and request.method == 'DELETE':
            return self.delete_item(request, job, 204)
        if name == '':
            return self.page(job.full_name)
        if name == 'api' and rest == ['json']:
            return self.api(request, beans.job(self.world, job))
        if name in self.ITEM:
            return self.ITEM[name](self, request, job, rest)
        if name in self.JOB:
            return self.JOB[name](self, request, job, rest)
        number = int(name) if name.isdigit() else self.permalink(job, name)
        if number in job.builds:
            if not rest:
                return self.redirect(request, '/' + job.builds[number].path)
            return self.build(request, job.builds[number], rest)
        raise self.not_found()

    def permalink(self, job, name):
        wanted = {'lastBuild': lambda build: True, 'lastCompletedBuild': lambda build: not build.building,
                  'lastSuccessfulBuild': lambda build: build.result in ('SUCCESS', 'UNSTABLE'),
                  'lastFailedBuild': lambda build: build.result == 'FAILURE'}.get(name)
        return max((build.number for build in job.builds.values() if wanted(build)), default=None) if wanted else None

    def may_build(self, request, job):
        self.need(request, 'build', what='Job/Build')
        self.need_post(request)
        if job.disabled:
            raise Refusal(409, '%s is not buildable' % job.full_name)

    def delay(self, request, job):
        """A bare number is milliseconds; seconds are whole ones."""
        given = request.one('delay')
        if given is None:
            return job.quiet_period if job.quiet_period is not None else self.world.settings['quiet_period']
        found = DELAY.fullmatch(given)
        if not found:
            raise oops('Invalid time duration value: %s' % given)
        return int(found.group(1)) if found.group(2) else int(found.group(1)) // 1000

    def build_with_parameters(self, request, job, _rest):
        self.may_build(request, job)
        if not job.parameters:
            raise Refusal(400, '%s is not parameterized' % job.full_name)
        values, fields = [], request.fields()
        request.ignored = sorted(set(fields) - set(job.parameters) - {'delay', 'token', 'cause', 'Jenkins-Crumb', 'json'})
        for name, (kind, default, _text) in job.parameters.items():
            given = fields.get(name)
            if given and len(given) != 1:
                raise oops('Illegal number of parameter values for %s: %d' % (name, len(given)))
            values.append((name, kind, self.parameter(kind, given[0] if given else default)))
        item, created = self.world.schedule(job, values, beans.cause(request.person), self.delay(request, job))
        return self.redirect(request, '/' + item.path, 201 if created else 303)

    def parameter(self, kind, text):
        return text == 'true' if kind == 'BooleanParameterDefinition' else text

    def build_plain(self, request, job, _rest):
        self.may_build(request, job)
        values = []
        if job.parameters:
            try:
                form = json.loads(request.fields()['json'][0])
                given = form.get('parameter', [])
            except (KeyError, ValueError, AttributeError) as error:
                raise Refusal(400, 'This page expects a form submission') from error
            for each in given if isinstance(given, list) else [given]:
                if each['name'] not in job.parameters:
                    raise oops('No such parameter definition: %s' % each['name'])
                kind = job.parameters[each['name']][0]
                values.append((each['name'], kind, self.parameter(kind, str(each['value']))))
        item, _created = self.world.schedule(job, values, beans.cause(request.person), self.delay(request, job))
        return self.redirect(request, '/' + item.path, 201)

    def disable(self, request, job, _rest):
        self.need_post(request)
        self.need(request, 'configure', what='Job/Configure')
        self.make_disabled(job)
        return self.redirect(request, '/' + job.path)

    def enable(self, request, job, _rest):
        self.need_post(request)
        self.need(request, 'configure', what='Job/Configure')
        job.set_disabled(False)
        return self.redirect(request, '/' + job.path)

    # --- builds

    def build(self, request, build, parts):
        name, rest = parts[0], parts[1:]
        if name in ('', 'console'):
            return self.page('%s #%d' % (build.job.full_name, build.number))
        if name == 'api' and rest == ['json']:
            return self.api(request, beans.build(self.world, build))
        if name == 'logText' and rest == ['progressiveText']:
            return self.progressive(request, build)
        if name == 'consoleText':
            return Answer(200, NOTES.sub(b'', bytes(build.log)), TEXT)
        if name == 'stop':
            self.need_post(request)
            self.need(request, 'cancel', what='Job/Cancel')
            if build.building:
                build.runner.stop('Build was aborted\nAborted by %s\n' % request.person.name, kills=self.world.settings['stop_kills'])
            return self.redirect(request, '/' + build.path)
        if name == 'doDelete':
            self.need_post(request)
            self.need(request, 'configure', what='Run/Delete')
            del build.job.builds[build.number]
            return self.redirect(request, '/' + build.job.path)
        raise self.not_found()

    def progressive(self, request, build):
        """The notes of the console are in the log and its size, but are not sent; a start beyond the end begins again."""
        start = request.one('start') or '0'
        if not re.fullmatch(r'-?\d+', start):
            raise oops('NumberFormatException: For input string: "%s"' % start)
        start, size = int(start), len(build.log)
        if start > size:
            start = 0
        text = NOTES.sub(b'', bytes(build.log[start:size]))
        answer = Answer(200, text, TEXT, X_Text_Size=str(size))
        if build.building:
            answer.headers['X-More-Data'] = 'true'
        return answer

    # --- the queue

    def queue(self, request, rest):
        if rest == ['api', 'json']:
            return self.api(request, beans.queue(self.world))
        if rest == ['cancelItem']:
            return self.cancel_item(request)
        if len(rest) >= 2 and rest[0] == 'item' and rest[1].isdigit():
            item = self.world.find_queued(int(rest[1]))
            if item and rest[2:] == ['api', 'json']:
                return self.api(request, beans.queue_item(self.world, item))
            if item and rest[2:] in ([], ['']):
                return Answer(200, b'Queue item exists. For details check, for example, %sapi/json?tree=cancelled,executable[url]'
                              % request.path.encode(), TEXT)
            if item and rest[2:] == ['cancelQueue']:
                self.need_post(request)
                self.need(request, 'cancel', what='Job/Cancel')
                if item.state != QueueItem.LEFT:
                    self.world.leave(item, cancelled=True)
                return Answer(204)
        raise self.not_found()

    def cancel_item(self, request):
        """Too late is 500 while the item that left is remembered, 404 afterwards."""
        self.need_post(request)
        number = request.one('id') or ''
        if not re.fullmatch(r'-?\d+', number):
            raise self.not_found()
        item = self.world.find_queued(int(number))
        if not item:
            raise Refusal(404, 'Provided id (%s) not found' % number)
        if 'cancel' not in RIGHTS[request.person.role]:
            raise Refusal(422, 'Item for id (%s) is not cancellable' % number)
        if item.state == QueueItem.LEFT:
            raise oops('Could not cancel run for id %s' % number)
        self.world.leave(item, cancelled=True)
        return Answer(204)

    # --- views

    def create_view(self, request, folder, _rest):
        self.need_post(request)
        self.need(request, 'configure', what='View/Create')
        name = check_name(request.one('name'))
        if name in folder.views or name == 'all':
            raise failure('A view already exists with the name "%s"' % name)
        if not (request.headers.get('Content-Type') or '').startswith(('application/xml', 'text/xml')):
            raise failure('No mode given')
        folder.views[name] = parse_xml(request.body, self.world.plugins)
        return Answer()

    def view(self, request, folder, rest):
        if len(rest) < 2 or (rest[0] not in folder.views and rest[0] != 'all'):
            raise self.not_found()
        root = folder.views.get(rest[0])
        if rest[1:] == ['api', 'json']:
            return self.api(request, beans.view(self.world, folder, rest[0]))
        if root is not None and rest[1] == 'config.xml':
            self.need(request, 'configure', what='View/Configure')
            if request.method == 'POST':
                folder.views[rest[0]] = parse_xml(request.body, self.world.plugins)
                return Answer()
            return Answer(200, shown_xml(root), XML)
        if root is not None and rest[1] == 'doDelete':
            self.need_post(request)
            self.need(request, 'configure', what='View/Delete')
            del folder.views[rest[0]]
            return self.redirect(request, '/' + folder.path)
        if rest[1] == 'job':
            return self.below(request, folder, rest[2:])
        if rest[1:] == ['']:
            return self.page(rest[0])
        raise self.not_found()

    # --- the master

    def crumb(self, request, rest):
        if not self.world.settings['crumbs'] or rest != ['api', 'json']:
            raise self.not_found()
        session = request.need_session()
        return self.api(request, beans.crumb(self.world.crumb(request.person, session)))

    def plugins(self, request, rest):
        self.need(request, 'administer', what='Overall/Administer')
        if rest != ['api', 'json']:
            raise self.not_found()
        return self.api(request, beans.plugins(self.world))

    def user(self, request, rest):
        if len(rest) == 4 and rest[1:] == ['descriptorByName', 'jenkins.security.ApiTokenProperty', 'generateNewToken']:
            self.need_post(request)
            person = self.world.people.get(rest[0])
            if not person or person is not request.person:
                raise Refusal(403, '%s is missing the Overall/Administer permission' % request.person.name)
            uuid, value = person.new_token(request.one('newTokenName') or 'Token')
            found = {'status': 'ok', 'data': {'tokenName': person.tokens[value][0], 'tokenUuid': uuid, 'tokenValue': value}}
            return Answer(200, json.dumps(found).encode(), 'application/json;charset=UTF-8')
        raise self.not_found()

    def manage(act):
        def acts(self, request, rest):
            self.need_post(request)
            self.need(request, 'administer', what='Overall/Manage')
            if rest not in ([], ['']):
                raise self.not_found()
            act(self)
            self.world.wake.notify_all()
            return self.redirect(request, '/')
        return acts

    def set_quiet(self):
        self.world.quieting = True

    def unset_quiet(self):
        self.world.quieting = False

    def restarts(self):
        self.restart({'mode': 'graceful'})

    def nothing(self):
        pass

    # --- nodes

    def computers(self, request, rest):
        if rest == ['api', 'json']:
            return self.api(request, beans.computers(self.world))
        if rest in (['doCreateItem'], ['createItem']):
            self.need_post(request)
            self.need(request, 'administer', what='Computer/Create')
            return self.create_node(request, rest[0])
        if rest in ([], ['']):
            return self.page('Nodes')
        node = self.world.nodes.get('built-in' if rest[0] == '(built-in)' else rest[0])
        if not node:
            raise self.not_found()
        return self.computer(request, node, rest[1:])

    def create_node(self, request, way):
        name = check_name(request.one('name'))
        if name in self.world.nodes:
            raise failure('Agent called ‘%s’ already exists' % name)
        if way == 'createItem':
            if not (request.headers.get('Content-Type') or '').startswith(('application/xml', 'text/xml')):
                raise failure('No mode given')
            root = parse_xml(request.body, self.world.plugins)
        else:
            root = self.node_of_form(request)
        if root.tag not in ('slave', 'hudson.slaves.DumbSlave'):
            raise oops('CannotResolveClassException: %s' % root.tag)
        self.world.nodes[name] = Node(name, root)
        self.world.wake.notify_all()
        return Answer() if way == 'createItem' else self.redirect(request, '/computer/')

    def node_of_form(self, request):
        if request.one('type') not in ('hudson.slaves.DumbSlave', 'hudson.slaves.DumbSlave$DescriptorImpl'):
            raise oops('NullPointerException: no descriptor %s' % request.one('type'))
        try:
            form = json.loads(request.fields()['json'][0])
        except (KeyError, ValueError) as error:
            raise Refusal(400, 'This page expects a form submission') from error
        root = etree.Element('slave')
        texts = {'name': request.one('name'), 'description': form.get('nodeDescription'), 'remoteFS': form.get('remoteFS'),
                 'numExecutors': form.get('numExecutors'), 'mode': form.get('mode'), 'label': form.get('labelString')}
        for name, text in texts.items():
            if name in ('remoteFS', 'numExecutors') and not text:
                raise failure('%s is mandatory' % {'remoteFS': 'Remote directory', 'numExecutors': 'Number of executors'}[name])
            etree.SubElement(root, name).text = str(text or '')
        for name, key in (('launcher', 'launcher'), ('retentionStrategy', 'retentionStrategy')):
            given = form.get(key)
            if not isinstance(given, dict):
                raise oops('Missing %s' % key)
            kind = given.get('stapler-class') or given.get('$class')
            element = etree.SubElement(root, name, {'class': kind or ''})
            for part, text in given.items():
                if part not in ('stapler-class', '$class'):
                    etree.SubElement(element, part).text = str(text)
        return parse_xml(etree.tostring(root), self.world.plugins)

    def computer(self, request, node, rest):
        name = rest[0] if rest else ''
        if rest == ['api', 'json']:
            return self.api(request, beans.computer(node))
        if rest in ([], ['']):
            return self.page(node.name)
        if name in ('jenkins-agent.jnlp', 'slave-agent.jnlp') and not node.built_in:
            self.need(request, 'administer', what='Agent/Connect')
            text = '<jnlp><application-desc><argument>%s</argument><argument>%s</argument></application-desc></jnlp>' % (node.secret, node.name)
            return Answer(200, text.encode(), 'application/x-java-jnlp-file')
        if name == 'config.xml' and not node.built_in:
            self.need(request, 'administer', what='Agent/Configure')
            if request.method == 'POST':
                node.configure(parse_xml(request.body, self.world.plugins))
                self.world.wake.notify_all()
                return Answer()
            return Answer(200, shown_xml(node.root), XML)
        self.need_post(request)
        self.need(request, 'administer', what='Agent/Configure')
        if name == 'doDelete' and not node.built_in:
            self.builds.abort_all('Agent was removed\n', 'ABORTED', node)
            del self.world.nodes[node.name]
            return self.redirect(request, '/computer/')
        if name in ('toggleOffline', 'changeOfflineCause'):
            message = request.one('offlineMessage') or ''
            node.offline_reason = None if name == 'toggleOffline' and node.offline_reason is not None else message.strip()
            self.world.wake.notify_all()
            return self.redirect(request, '/computer/%s/' % urllib.parse.quote(node.name))
        raise self.not_found()

    FOLDER = {'': index, 'api': folder_api, 'job': below, 'createItem': create_item, 'createView': create_view, 'view': view}
    ITEM = {'config.xml': config, 'doDelete': delete, 'confirmRename': rename, 'doRename': rename}
    JOB = {'build': build_plain, 'buildWithParameters': build_with_parameters, 'disable': disable, 'enable': enable}
    TOP = {'queue': queue, 'computer': computers, 'crumbIssuer': crumb, 'pluginManager': plugins, 'user': user, 'quietDown': manage(set_quiet),
           'cancelQuietDown': manage(unset_quiet), 'restart': manage(restarts), 'safeRestart': manage(restarts), 'reload': manage(nothing)}
