"""Webhooks: which event goes to which hook, with which payload, signed how, sent when, and sent again when."""
import fnmatch
import hashlib
import hmac
import http.client
import itertools
import json
import threading
import time
import urllib.parse


class Hook:
    def __init__(self, number, repository, url, event_types, secret, active, pattern, date):
        self.id, self.repository, self.url, self.event_types = number, repository, url, list(event_types)
        self.secret, self.active, self.pattern, self.date_created = secret, active, pattern, date
        self.deliveries = []


class Delivery:
    def __init__(self, number, hook, event_type, payload, date):
        self.id, self.hook, self.event_type, self.payload, self.date_created = number, hook, event_type, payload, date
        self.pending, self.successful, self.error_message = True, None, None
        self.date_scheduled = self.date_first_sent = self.date_sent = None
        self.first = None   # time.monotonic() of the first attempt
        self.attempts = []  # status or words, one for each


def path_of(thing):
    return None if thing is None else '/' + thing


class Hooks:
    def __init__(self):
        self.numbers = itertools.count(9001)
        self.paused, self.waiting = False, []

    def new(self, world, repository, url, event_types, secret=None, active=True, pattern=None):
        hook = Hook(next(self.numbers), repository, url, event_types, secret, active, pattern, world.now())
        repository.hooks.append(hook)
        return hook

    # --- payloads

    def attributes(self, proposal):
        """lp/code/subscribers/branchmergeproposal.py: these, in this order; objects are paths."""
        def repository(end):
            return path_of(end[0] and end[0].unique_name)
        newest = proposal.diffs[-1] if proposal.diffs else None
        return {
            'registrant': '/~' + proposal.registrant.name, 'source_branch': None, 'source_git_repository': repository(proposal.source),
            'source_git_path': proposal.source[1], 'target_branch': None, 'target_git_repository': repository(proposal.target),
            'target_git_path': proposal.target[1], 'prerequisite_branch': None,
            'prerequisite_git_repository': repository(proposal.prerequisite), 'prerequisite_git_path': proposal.prerequisite[1],
            'queue_status': proposal.queue_status, 'commit_message': proposal.commit_message, 'whiteboard': proposal.whiteboard,
            'description': proposal.description,
            'preview_diff': path_of(newest and '%s/+preview-diff/%d' % (proposal.path, newest.id))}

    def proposal(self, world, action, old, new, scope=None):
        payload = {'action': action}
        if old is not None:
            payload['old'] = self.attributes(old)
        if new is not None:
            payload['new'] = self.attributes(new)
        about = new or old
        payload['merge_proposal'] = '/' + about.path
        scope = {'created': 'create', 'deleted': 'delete', 'reviewed': 'review'}.get(action, scope)
        self.trigger(world, about.target[0], 'merge-proposal:0.1::' + scope, payload, [about.target[1]])

    def push(self, world, repository, changes):
        def commit(sha1):
            return None if sha1 is None else {'commit_sha1': sha1}
        self.trigger(world, repository, 'git:push:0.1', {
            'git_repository': '/' + repository.unique_name, 'git_repository_path': repository.unique_name,
            'ref_changes': {ref: {'old': commit(old), 'new': commit(new)} for ref, (old, new) in changes.items()}}, list(changes))

    def trigger(self, world, repository, event_type, payload, refs):
        parent = event_type.split('::', 1)[0]
        for hook in repository.hooks:
            wanted = event_type in hook.event_types or parent in hook.event_types
            matches = not hook.pattern or any(fnmatch.fnmatch(ref, hook.pattern) for ref in refs)
            if hook.active and wanted and matches and world.settings['hooks']:
                self.deliver(world, hook, parent, payload)

    # --- deliveries

    def deliver(self, world, hook, event_type, payload):
        delivery = Delivery(next(self.numbers), hook, event_type, payload, world.now())
        hook.deliveries.append(delivery)
        self.start(world, delivery)
        return delivery

    def start(self, world, delivery):
        if self.paused:
            self.waiting.append(delivery)
        else:
            threading.Thread(target=self.send, args=(world, delivery), daemon=True).start()

    def resume(self, world, backwards=False):
        """Launchpad promises no order: a test may turn it round."""
        self.paused = False
        waiting, self.waiting = self.waiting, []
        for delivery in reversed(waiting) if backwards else waiting:
            self.send(world, delivery)

    def retry(self, world, delivery, reset=False):
        if reset:
            delivery.first = delivery.date_first_sent = None
        delivery.pending = True
        self.start(world, delivery)

    def request(self, world, delivery):
        """(status, None) or (None, why there is none)."""
        hook = delivery.hook
        body = json.dumps(delivery.payload).encode()
        headers = {'User-Agent': 'launchpad.test-Webhooks/r0', 'Content-Type': 'application/json',
                   'X-Launchpad-Event-Type': delivery.event_type, 'X-Launchpad-Delivery': str(delivery.id)}
        if hook.secret is not None:
            headers['X-Hub-Signature'] = 'sha1=' + hmac.new(hook.secret.encode(), body, hashlib.sha1).hexdigest()
        url = urllib.parse.urlsplit(hook.url)
        connection = http.client.HTTPConnection(url.hostname, url.port or 80, timeout=30)
        try:
            connection.request('POST', url.path or '/', body, headers)
            reply = connection.getresponse()
            reply.read()
            return reply.status, None
        except (OSError, http.client.HTTPException) as error:
            return None, str(error) or type(error).__name__
        finally:
            connection.close()

    def send(self, world, delivery):
        if not delivery.hook.active:
            delivery.pending, delivery.successful, delivery.error_message = False, False, 'Webhook deactivated'
            return
        status, trouble = self.request(world, delivery)
        with world.lock:
            delivery.attempts.append(status or trouble)
            delivery.date_sent = world.now()
            if delivery.first is None:
                delivery.first, delivery.date_first_sent = time.monotonic(), delivery.date_sent
            delivery.successful = status is not None and 200 <= status <= 299
            delivery.error_message = (None if delivery.successful else 'Connection error: ' + trouble if trouble
                                      else 'Bad HTTP response: %d' % status)
            minutes = (time.monotonic() - delivery.first) / world.settings['minute']
            delivery.pending = not delivery.successful and minutes < self.patience(world, status)
            if delivery.pending:
                delay = 1 if minutes < 10 else 5 if minutes < 60 else 60
                world.timeline.after(delay * world.settings['minute'], self.start, world, delivery)

    def patience(self, world, status):
        """Minutes until it gives up. Every address here is a loopback one; `effort` says whether that counts."""
        if world.settings['effort'] == 'loopback':
            return 5
        return 24 * 60 if status is None or 500 <= status <= 599 else 60
