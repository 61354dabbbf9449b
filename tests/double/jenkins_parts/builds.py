"""The queue's maintenance, and builds: each runs its job's shell steps as real processes, or does what a test says (a plan)."""
import os
import re
import secrets
import select
import shutil
import signal
import subprocess
import threading
import time

from .model import Build, QueueItem

NOTE = '\x1b[8mha:////4%s\x1b[0m'
NOTES = re.compile(rb'\x1b\[8mha:[^\x1b]*\x1b\[0m')
LOOK_SECONDS = 5.0


class Plan:
    """Instead of processes: what builds of matching jobs say, and how they end; `hold`: not before /control/finish."""
    def __init__(self, given):
        self.job, self.times = re.compile(given.get('job', '')), given.get('times', 1 << 30)
        self.result, self.log = given.get('result', 'SUCCESS'), given.get('log', '')
        self.seconds, self.hold = given.get('seconds', 0), given.get('hold', False)


class Planned:
    """A build without a process."""
    def __init__(self, builds, build, plan):
        self.builds, self.build, self.ended = builds, build, False
        build.say(plan.log)
        if not plan.hold:
            threading.Timer(plan.seconds, self.finish, (plan.result,)).start()

    def finish(self, result):
        with self.builds.world.lock:
            if not self.ended:
                self.ended = True
                self.builds.end(self.build, result)

    def stop(self, words, result='ABORTED', **_):
        self.build.say(words)
        self.finish(result)


class Running:
    """A build of real processes. Between the master and each process is one that stands for the agent, which is what is killed when the
    agent or the master dies: the process itself is left alone then, as it is by a stop (unless stop_kills)."""
    def __init__(self, builds, build):
        self.builds, self.build, self.process, self.ended = builds, build, None, False
        self.wake = os.pipe()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        result = 'SUCCESS'
        for command, unstable in self.build.steps:
            status = self.step(command)
            if status is None:
                return
            if status != 0:
                result = 'UNSTABLE' if status == unstable else 'FAILURE'
                self.build.say("Build step 'Execute shell' %s\n" % (
                    'changed build result to UNSTABLE' if result == 'UNSTABLE' else 'marked build as failure'))
            if result == 'FAILURE':
                break
        with self.builds.world.lock:
            if not self.ended:
                self.ended = True
                self.builds.end(self.build, result)

    def step(self, command):
        """The process' exit status; None when the build was stopped."""
        script = os.path.join(self.builds.folder, 'jenkins%d.sh' % secrets.randbits(63))
        workspace = self.builds.workspace(self.build)
        with open(script, 'w', encoding='utf-8') as file:
            file.write(command.replace('\r\n', '\n'))
        first = command.split('\n', 1)[0]
        interpreter = first[2:].split() if first.startswith('#!') else ['/bin/sh', '-xe']
        with self.builds.world.lock:
            if self.ended:
                os.unlink(script)
                return None
            self.build.say('[%s] $ %s %s\n' % (self.build.job.name, ' '.join(interpreter), script))
            try:
                self.process = subprocess.Popen(
                    ['timeout', '--foreground', '0', *interpreter, script], env=self.builds.environment(self.build, workspace), cwd=workspace,
                    stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
                    preexec_fn=lambda: signal.pthread_sigmask(signal.SIG_SETMASK, ()))
            except OSError as error:  # a parameter of more than 128 KiB
                os.unlink(script)
                self.build.say('FATAL: command execution failed\njava.io.IOException: error=%d, %s\n' % (error.errno, error.strerror))
                return 1
            self.builds.groups.add(self.process.pid)
        try:
            return self.follow(self.process)
        finally:
            self.process.stdout.close()
            if os.path.exists(script):
                os.unlink(script)

    def follow(self, process):
        poll = select.poll()
        poll.register(process.stdout, select.POLLIN)
        poll.register(self.wake[0], select.POLLIN)
        while not self.ended:
            ready = [descriptor for descriptor, _ in poll.poll()]
            if self.wake[0] in ready:
                return None
            text = os.read(process.stdout.fileno(), 65536)
            if not text:
                return process.wait()
            with self.builds.world.lock:
                self.build.say(text)
        return None

    def stop(self, words, result='ABORTED', agent_dies=False, kills=False):
        if self.ended:
            return
        self.ended = True
        if self.process and agent_dies:
            self.process.kill()
        if self.process and kills:
            os.killpg(self.process.pid, signal.SIGTERM)
        self.build.say(words)
        os.write(self.wake[1], b'.')
        self.builds.end(self.build, result)


class Builds:
    def __init__(self, world, folder):
        self.world, self.folder, self.plans, self.groups = world, folder, [], set()
        self.down = False
        self.between = []  # timers of items that have left the queue

    def start(self):
        threading.Thread(target=self.maintain_always, daemon=True).start()

    # --- the queue

    def maintain_always(self):
        while True:
            with self.world.lock:
                if not self.down:
                    self.maintain()
                self.world.wake.wait(self.pause())

    def pause(self):
        now = time.time()
        times = [item.due for item in self.world.queue.values() if item.state == QueueItem.WAITING]
        if self.world.save_at is not None:
            times.append(self.world.save_at)
        return min([LOOK_SECONDS] + [max(0.001, at - now) for at in times])

    def maintain(self):
        world, now = self.world, time.time()
        if world.save_at is not None and world.save_at <= now:
            world.save_queue()
        for item in sorted(world.queue.values(), key=lambda each: (each.due, each.id)):
            if item.state == QueueItem.WAITING:
                if item.due > now:
                    continue
                item.buildable_since = now
            self.place(item)

    def blocked(self, item):
        if item.job.concurrent:
            return None
        building = item.job.building()
        if building:
            return 'Build #%d is already in progress' % building[-1].number
        return None

    def place(self, item):
        """Onto an executor, or the words for why not."""
        world = self.world
        item.why = self.blocked(item)
        item.state = QueueItem.BLOCKED if item.why else QueueItem.BUILDABLE
        if item.why:
            return
        if world.quieting:
            item.why = 'Jenkins is about to shut down'
            return
        nodes = [node for node in world.nodes.values() if node.takes(item.job.label)]
        online = [node for node in nodes if not node.offline]
        for node in online:
            executor = node.free()
            if executor is not None:
                return self.take(item, node, executor)
        label = item.job.label
        if not nodes:
            item.why = 'There are no nodes with the label ‘%s’' % label
        elif not online:
            item.why = '‘%s’ is offline' % nodes[0].name if len(nodes) == 1 else 'All nodes of label ‘%s’ are offline' % label
        else:
            item.why = 'Waiting for next available executor on ‘%s’' % label if label else 'Waiting for next available executor'

    def take(self, item, node, executor):
        """The item leaves the queue; for `gap` seconds it is neither in the queue nor among the builds."""
        self.world.leave(item)
        node.busy[executor] = item
        gap = self.world.settings['gap']
        if not gap:
            return self.begin(item, node, executor)
        later = threading.Timer(gap, self.begin, (item, node, executor, self.world.session_hash))
        later.daemon = True
        self.between.append(later)
        later.start()

    def begin_all(self):
        between, self.between = self.between, []
        for later in between:
            later.cancel()
            self.begin(*later.args)

    # --- builds

    def begin(self, item, node, executor, run=None):
        with self.world.lock:
            if run not in (None, self.world.session_hash) or node.busy.get(executor) is not item:
                return  # the master that did this is gone
            job = item.job
            build = Build(job, item, node)
            job.next_number += 1
            job.builds[build.number] = build
            item.build, node.busy[executor], build.executor, build.steps = build, build, executor, list(job.steps)
            for cause in build.causes:
                build.say('Started by user %s%s\n' % (NOTE % secrets.token_hex(24), cause['userName']) if cause['userName'] else
                          cause['shortDescription'] + '\n')
            build.say('Running as SYSTEM\nBuilding %s in workspace %s\n' % (
                'on the built-in node' if node.built_in else 'remotely on %s (%s)' % (node.name, ' '.join(sorted(node.labels - {node.name}))),
                self.workspace(build)))
            plan = next((plan for plan in self.plans if plan.times > 0 and plan.job.fullmatch(job.full_name)), None)
            if plan:
                plan.times -= 1
                build.runner = Planned(self, build, plan)
            else:
                build.runner = Running(self, build)

    def end(self, build, result):
        with self.world.lock:
            build.result, build.building, build.duration = result, False, time.time() - build.begun
            build.say('Finished: %s\n' % result)
            if build.node.busy.get(build.executor) is build:
                del build.node.busy[build.executor]
            build.job.discard()
            self.world.wake.notify_all()

    def running(self):
        def jobs_of(folder):
            return list(folder.jobs())
        return [build for job in jobs_of(self.world.top) for build in job.building()]

    def workspace(self, build):
        folder = os.path.join(self.folder, build.node.name, 'workspace', build.job.full_name)
        os.makedirs(folder, exist_ok=True)
        return folder

    def environment(self, build, workspace):
        root = self.world.root()
        names = {name: value for name, value in os.environ.items() if not name.startswith(('BRAIN_', 'SPEC', 'RESULT'))}
        names.update({
            'BUILD_NUMBER': str(build.number), 'BUILD_ID': str(build.number), 'BUILD_DISPLAY_NAME': '#%d' % build.number,
            'JOB_NAME': build.job.full_name, 'JOB_BASE_NAME': build.job.name, 'NODE_NAME': build.node.name, 'EXECUTOR_NUMBER': '0',
            'NODE_LABELS': ' '.join(sorted(build.node.labels)), 'WORKSPACE': workspace, 'WORKSPACE_TMP': workspace + '@tmp',
            'BUILD_TAG': 'jenkins-%s-%d' % (build.job.full_name.replace('/', '-'), build.number), 'JENKINS_URL': root, 'HUDSON_URL': root,
            'JOB_URL': root + build.job.path, 'BUILD_URL': root + build.path, 'CI': 'true', 'JENKINS_HOME': self.folder,
            'JENKINS_SERVER_COOKIE': 'durable-' + secrets.token_hex(16), 'HUDSON_SERVER_COOKIE': secrets.token_hex(8)})
        names.update({name: ('true' if value else 'false') if isinstance(value, bool) else value for name, _, value in build.values})
        return names

    def abort_all(self, words, result='ABORTED', node=None):
        for build in self.running():
            if node is None or build.node is node:
                build.runner.stop(words, result, agent_dies=True)

    def kill_children(self):
        """At the double's own end nothing that it started stays."""
        for group in self.groups:
            try:
                os.killpg(group, signal.SIGKILL)
            except ProcessLookupError:
                pass
        shutil.rmtree(self.folder, ignore_errors=True)
