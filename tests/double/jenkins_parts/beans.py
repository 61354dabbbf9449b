"""What each object exports, as core/src/main/java/hudson/model and its @Exported say."""
import re
import time

from .export import Bean, Each
from .model import PARAMETERS, Folder


def milliseconds(seconds):
    return int(seconds * 1000)


def constant(value):
    return lambda: value


def bean(kind, /, always=('number', 'url', 'name'), deep=None, **fields):
    return Bean(kind, {name: value if callable(value) else constant(value) for name, value in fields.items()}, deep, always)


class Every:
    """All names: for what is told however deep it lies."""
    def __contains__(self, name):
        return True


EVERY = Every()


def who(person):
    return bean('hudson.security.WhoAmI', anonymous=person.name == 'anonymous', authenticated=person.name != 'anonymous', name=person.name,
                authorities=['authenticated'])


def crumb(value):
    return bean('hudson.security.csrf.DefaultCrumbIssuer', crumb=value, crumbRequestField='Jenkins-Crumb')


def cause(person):
    return {'_class': 'hudson.model.Cause$UserIdCause', 'shortDescription': 'Started by user %s' % person.name, 'userId': person.name,
            'userName': person.name}


def timer_cause():
    return {'_class': 'hudson.triggers.TimerTrigger$TimerTriggerCause', 'shortDescription': 'Started by timer', 'userName': None}


def shown_cause(each):
    named = {name: each[name] for name in ('shortDescription', 'userId', 'userName') if each.get(name) is not None}
    return bean(each['_class'], EVERY, **named)


def actions(values, causes):
    """Actions that export nothing are there all the same, as empty objects."""
    found = []
    if values:
        found.append(bean('hudson.model.ParametersAction', EVERY, parameters=[
            bean('hudson.model.' + PARAMETERS[kind], EVERY, name=name, value=value) for name, kind, value in values]))
    found.append(bean('hudson.model.CauseAction', EVERY, causes=[shown_cause(each) for each in causes]))
    found.append(bean(None))
    return found


def folder(world, item):
    fields = {
        'jobs': lambda: [item_short(world, each) for each in item.items.values()],
        'url': lambda: world.root() + item.path,
        'views': lambda: [view(world, item, name) for name in ['all', *item.views]],
        'primaryView': lambda: view(world, item, 'all'),
        'description': lambda: None}
    if item.parent is None:
        fields.update({
            'mode': lambda: 'NORMAL', 'nodeDescription': lambda: "the Jenkins controller's built-in node", 'nodeName': lambda: '',
            'numExecutors': lambda: world.settings['executors'], 'quietingDown': lambda: world.quieting, 'slaveAgentPort': lambda: -1,
            'useCrumbs': lambda: world.settings['crumbs'], 'useSecurity': lambda: True, 'assignedLabels': lambda: [],
            'quietDownReason': lambda: None})
        return Bean('hudson.model.Hudson', fields)
    fields.update({'name': lambda: item.name, 'fullName': lambda: item.full_name, 'displayName': lambda: item.name})
    return Bean('com.cloudbees.hudson.plugins.folder.Folder', fields)


def item_short(world, item):
    return folder(world, item) if isinstance(item, Folder) else job(world, item)


def view(world, item, name):
    path = item.path if name == 'all' else '%sview/%s/' % (item.path, name)
    root = item.views.get(name)

    def jobs():
        names = None if root is None else {each.text for each in root.iterfind('jobNames/string')}
        regex = None if root is None else root.findtext('includeRegex')
        return [item_short(world, each) for key, each in item.items.items()
                if names is None or key in names or (regex and re.fullmatch(regex, key))]
    return bean('hudson.model.AllView' if name == 'all' else 'hudson.model.ListView', name=name, url=lambda: world.root() + path,
                description=None if root is None else root.findtext('description'), jobs=jobs)


COLOURS = {'SUCCESS': 'blue', 'UNSTABLE': 'yellow', 'FAILURE': 'red', 'ABORTED': 'aborted', 'NOT_BUILT': 'notbuilt'}


def colour(item):
    if item.disabled:
        return 'disabled'
    done = [build for build in item.builds.values() if not build.building]
    base = COLOURS[done[-1].result] if done else 'notbuilt'
    return base + '_anime' if item.building() else base


def job(world, item):
    def newest(limit):
        return lambda: Each(sorted(item.builds, reverse=True)[:limit], lambda number: build(world, item.builds[number]))

    def one(wanted):
        def find():
            found = [each for number, each in sorted(item.builds.items()) if wanted(each)]
            return build(world, found[-1]) if found else None
        return find

    def waiting():
        found = [each for each in world.queue.values() if each.job is item]
        return found[0] if found else None
    parameters = [bean('hudson.model.' + kind, EVERY, name=name, type=kind, description=text, defaultParameterValue=bean(
        'hudson.model.' + PARAMETERS[kind], EVERY, name=name, value=default)) for name, (kind, default, text) in item.parameters.items()]
    properties = [bean('hudson.model.ParametersDefinitionProperty', EVERY, parameterDefinitions=parameters)] if parameters else []
    return Bean('hudson.model.FreeStyleProject', {
        'name': lambda: item.name, 'fullName': lambda: item.full_name, 'displayName': lambda: item.name, 'fullDisplayName': lambda: item.full_name,
        'url': lambda: world.root() + item.path, 'color': lambda: colour(item), 'description': lambda: item.description,
        'buildable': lambda: not item.disabled, 'disabled': lambda: item.disabled, 'concurrentBuild': lambda: item.concurrent,
        'labelExpression': lambda: item.label or None, 'nextBuildNumber': lambda: item.next_number, 'inQueue': lambda: waiting() is not None,
        'queueItem': lambda: queue_item(world, waiting()) if waiting() else None, 'builds': newest(100), 'property': lambda: properties,
        'lastBuild': one(lambda each: True), 'lastCompletedBuild': one(lambda each: not each.building),
        'lastSuccessfulBuild': one(lambda each: each.result in ('SUCCESS', 'UNSTABLE')),
        'lastFailedBuild': one(lambda each: each.result == 'FAILURE'), 'firstBuild': lambda: None if not item.builds else build(
            world, item.builds[min(item.builds)]), 'keepDependencies': lambda: False, 'actions': lambda: [bean(None)],
    }, {'allBuilds': newest(None)}, ('name', 'url', 'color'))


def build(world, item):
    return bean(
        'hudson.model.FreeStyleBuild', actions=lambda: actions(item.values, item.causes), artifacts=[], building=item.building,
        builtOn='' if item.node.built_in else item.node.name, changeSet=bean('hudson.scm.EmptyChangeLogSet', EVERY, items=[], kind=None),
        culprits=[], description=None, displayName='#%d' % item.number, duration=milliseconds(item.duration), estimatedDuration=-1,
        executor=bean('hudson.model.Executor') if item.building else None, fullDisplayName='%s #%d' % (item.job.full_name, item.number),
        id=str(item.number), inProgress=item.building, keepLog=False, number=item.number, queueId=item.queue_id, result=item.result,
        timestamp=milliseconds(item.begun), url=lambda: world.root() + item.path)


def queue(world):
    """The items only: what left is not among them. The newest first."""
    return bean('hudson.model.Queue', discoverableItems=[], items=lambda: [
        queue_item(world, each) for each in sorted(world.queue.values(), key=lambda each: -each.id)])


def span(seconds):
    return '%d ms' % milliseconds(seconds) if seconds < 1 else '%.1f sec' % seconds


def why(item):
    if item.state == item.WAITING:
        left = item.due - time.time()
        return 'In the quiet period. Expires in %s' % span(left) if left >= 0 else 'Finished waiting'
    return item.why


def queue_item(world, item):
    words = ''.join('\n%s=%s' % (name, value) for name, _kind, value in item.values)
    fields = {
        'actions': lambda: actions(item.values, item.causes), 'blocked': lambda: item.state == item.BLOCKED,
        'buildable': lambda: item.state == item.BUILDABLE, 'id': lambda: item.id, 'inQueueSince': lambda: milliseconds(item.since),
        'params': lambda: words, 'stuck': lambda: False, 'task': lambda: job(world, item.job), 'url': lambda: item.path,
        'why': lambda: why(item)}
    if item.state == item.WAITING:
        fields['timestamp'] = lambda: milliseconds(item.due)
    elif item.state == item.LEFT:
        fields['cancelled'] = lambda: item.cancelled
        fields['executable'] = lambda: build(world, item.build) if item.build else None
    else:
        fields['buildableStartMilliseconds'] = lambda: milliseconds(item.buildable_since)
    return Bean('hudson.model.Queue$' + item.state, fields, {}, EVERY)


def computer(node):
    kind = 'hudson.model.Hudson$MasterComputer' if node.built_in else 'hudson.slaves.SlaveComputer'
    launcher = node.root.find('launcher')
    inbound = launcher is not None and launcher.get('class') == 'hudson.slaves.JNLPLauncher'
    cause_of = None if not node.offline else bean('hudson.slaves.OfflineCause$UserCause' if node.offline_reason is not None else
                                                  'hudson.slaves.OfflineCause$ChannelTermination', EVERY)
    return bean(
        kind, actions=[], assignedLabels=[bean(None, EVERY, name=name) for name in sorted(node.labels)], description=node.description,
        displayName='Built-In Node' if node.built_in else node.name, executors=[bean(None) for _ in range(node.executors)],
        idle=not node.busy, jnlpAgent=inbound, launchSupported=not inbound, manualLaunchAllowed=True, monitorData={},
        numExecutors=node.executors, offline=node.offline, offlineCause=cause_of, offlineCauseReason=node.offline_reason or '',
        oneOffExecutors=[], temporarilyOffline=node.offline_reason is not None)


def computers(world):
    nodes = list(world.nodes.values())
    found = bean('hudson.model.ComputerSet', busyExecutors=sum(len(node.busy) for node in nodes if not node.offline),
                 computer=[computer(node) for node in nodes], displayName='Nodes',
                 totalExecutors=sum(node.executors for node in nodes if not node.offline))
    for each in found.near['computer']():
        each.always = EVERY
    return found


def plugins(world):
    return bean('hudson.LocalPluginManager', plugins=[
        bean('hudson.PluginWrapper', active=True, bundled=False, deleted=False, downgradable=False, enabled=True, hasUpdate=False,
             longName=name, pinned=False, shortName=name, supportsDynamicLoad='MAYBE', url=None, version=version)
        for name, version in world.plugins.items()])
