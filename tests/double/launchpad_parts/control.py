"""What a test asks of the double, which no Launchpad has: POST /control/VERB with a JSON object."""
import email.utils
import json
import threading
import time

from .auth import PERMISSIONS
from .model import Person, Refusal, Repository
from .rest import iso


class Fault:
    """What is answered instead: to requests whose method and path match, so many times."""
    NAMES = ('method', 'path', 'times', 'status', 'headers', 'body', 'delay', 'close', 'after', 'late', 'date')

    def __init__(self, given):
        unknown = set(given) - set(self.NAMES)
        if unknown:
            raise Refusal(400, 'fault: %s: not one of %s' % (', '.join(sorted(unknown)), ', '.join(self.NAMES)))
        self.method, self.path, self.times = given.get('method'), given.get('path', ''), given.get('times', 1)
        self.status, self.headers, self.body = given.get('status'), given.get('headers', {}), given.get('body', '')
        self.delay, self.close, self.after = given.get('delay', 0), given.get('close', False), given.get('after', False)
        # When the request takes effect all the same: so many seconds after the answer, right after the "next" one that matches, or when
        # the test says: /control/late.
        self.late = given.get('late', 0)
        # A Retry-After of that many seconds after the answer, as a date.
        self.date = given.get('date')

    def matches(self, request):
        whole = request.path + ('?' + request.query if request.query else '') + '\n' + request.body.decode('utf-8', 'replace')
        return (not self.method or self.method == request.method) and self.path in whole

    def takes(self, request):
        if self.times <= 0 or not self.matches(request):
            return False
        self.times -= 1
        return True

    def answer(self):
        headers = dict({'Content-Type': 'text/plain'}, **self.headers)
        if self.date is not None:
            headers['Retry-After'] = email.utils.formatdate(time.time() + self.date, usegmt=True)
        return self.status or 0, headers, self.body.encode()


class Control:
    def __init__(self, world, git, auth, rest):
        self.world, self.git, self.auth, self.rest = world, git, auth, rest
        self.faults, self.asked, self.turn = [], [], threading.Lock()
        self.late = []  # (fault, what it does late)

    def taken_now(self, request=None):
        """What takes effect after this request; without one: now that the test says so."""
        with self.turn:
            found = [each for each in self.late if (each[0].late == 'next' and each[0].matches(request) if request else True)]
            self.late = [each for each in self.late if each not in found]
            return [act for _, act in found]

    def fault_for(self, request):
        with self.turn:
            return next((fault for fault in self.faults if fault.takes(request)), None)

    def note(self, request, person, status):
        with self.turn:
            self.asked.append({
                'number': len(self.asked) + 1, 'time': time.time(), 'method': request.method, 'path': request.path, 'query': request.query,
                'body': request.body.decode('utf-8', 'replace')[:65536], 'person': person and person.name, 'status': status,
                'ignored': getattr(request, 'ignored', []), 'headers': {name.lower(): value for name, value in request.headers.items()
                                                                       if name.lower() != 'authorization'}})

    def serve(self, request):
        verb = request.path.split('/', 2)[2]
        act = getattr(self, 'do_' + verb.replace('-', '_'), None)
        if not act or request.method != 'POST':
            raise Refusal(404, 'no such verb: %s' % verb)
        try:
            given = json.loads(request.body or b'{}')
            if verb in ('asked', 'fault', 'clear', 'resume', 'late'):
                return act(given)
            with self.world.lock:
                return act(given)
        except (KeyError, TypeError, ValueError) as error:
            raise Refusal(400, '%s: %s: %s' % (verb, type(error).__name__, error)) from error

    def repository(self, name):
        if name not in self.world.repositories:
            raise Refusal(404, 'no repository %s' % name)
        return self.world.repositories[name]

    def proposal(self, given):
        if given['proposal'] not in self.world.proposals:
            raise Refusal(404, 'no proposal %s' % given['proposal'])
        return self.world.proposals[given['proposal']]

    # --- people and tokens

    def do_person(self, given):
        self.world.people[given['name']] = Person(given['name'], given.get('display_name'), given.get('members', ()))
        return {}

    def do_sshkeys(self, given):
        self.world.person(given['person']).sshkeys = list(given['keys'])
        return {}

    def do_token(self, given):
        permission = given.get('permission', 'WRITE_PUBLIC')
        if permission not in PERMISSIONS:
            raise ValueError(permission)
        token = self.auth.new(self.world.person(given['person']), permission, given.get('consumer', 'byoci'))
        return {'consumer': token.consumer, 'token': token.key, 'secret': token.secret}

    def do_expire(self, given):
        self.auth.tokens[given['token']].expired = True
        return {}

    def do_password(self, given):
        """A personal access token: the password for git over HTTP."""
        self.auth.personal[given['secret']] = self.world.person(given['person'])
        return {}

    def do_authorize(self, given):
        self.auth.review(given['token'], self.world.person(given['person']), given.get('permission'))
        return {}

    # --- repositories and proposals

    def do_repository(self, given):
        name = given['name']
        if name in self.world.repositories:
            raise ValueError('%s is there' % name)
        repository = Repository(next(self.world.numbers), name, self.world.person(given['owner']), None)
        repository.reviewer = self.world.person(given['reviewer']) if given.get('reviewer') else None
        repository.folder = self.git.make(name, given.get('path'))
        repository.refs = self.git.refs(repository)
        self.world.repositories[name] = repository
        return {'name': name, 'folder': repository.folder, 'url': '%s/%s' % (self.rest.root, name)}

    def do_propose(self, given):
        def end(pair):
            return pair and (self.repository(pair[0]), pair[1])
        for pair in (given['source'], given['target'], given.get('prerequisite')):
            if pair:
                self.git.scan(self.repository(pair[0]))
        proposal = self.world.propose(
            self.world.person(given['person']), end(given['source']), end(given['target']), end(given.get('prerequisite')),
            given.get('needs_review', True), commit_message=given.get('commit_message'), description=given.get('description'))
        return {'id': proposal.id, 'path': proposal.path, 'link': '%s/devel/%s' % (self.rest.root, proposal.path)}

    def do_status(self, given):
        self.world.set_status(self.proposal(given), self.world.person(given['person']), given['status'], given.get('revid'))
        return {}

    def do_comment(self, given):
        words = {name: given[name] for name in ('subject', 'content', 'vote', 'review_type') if name in given}
        return {'id': self.world.comment(self.proposal(given), self.world.person(given['person']), **words).id}

    def do_nominate(self, given):
        person = self.world.person(given['person'])
        return {'id': self.world.nominate(self.proposal(given), person, self.world.person(given['reviewer']), given.get('review_type')).id}

    def do_edit(self, given):
        proposal = self.proposal(given)
        changes = {name: given[name] for name in ('commit_message', 'description', 'whiteboard') if name in given}
        self.world.modify(proposal, lambda: [setattr(proposal, name, value) for name, value in changes.items()])
        return {}

    def do_delete(self, given):
        self.world.delete(self.proposal(given))
        return {}

    def do_diff(self, given):
        """A preview diff now, whatever diff_delay says."""
        before, self.world.settings['diff_delay'] = self.world.settings['diff_delay'], 0
        self.world.make_diff(self.proposal(given))
        self.world.settings['diff_delay'] = before
        return {'diffs': len(self.proposal(given).diffs)}

    def do_told(self, given):
        """A repository's post-receive hook: something was pushed."""
        for repository in self.world.repositories.values():
            if repository.folder == given['folder']:
                self.git.told(repository)
        return {}

    def do_scan(self, given):
        self.git.scan(self.repository(given['repository']))
        return {}

    def do_state(self, given):
        proposal = self.proposal(given)
        return {
            'queue_status': proposal.queue_status, 'reviewer': proposal.reviewer and proposal.reviewer.name,
            'date_reviewed': iso(proposal.date_reviewed), 'reviewed_revid': proposal.reviewed_revid,
            'merged_revision_id': proposal.merged_revision_id, 'merge_reporter': proposal.merge_reporter and proposal.merge_reporter.name,
            'commit_message': proposal.commit_message,
            'comments': [{'id': comment.id, 'author': comment.author.name, 'subject': comment.subject, 'content': comment.content,
                          'vote': comment.vote, 'deleted': comment.date_deleted is not None} for comment in proposal.comments],
            'diffs': [{'id': diff.id, 'source': diff.source, 'target': diff.target, 'date': iso(diff.date_created)}
                      for diff in proposal.diffs]}

    # --- webhooks

    def do_hook(self, given):
        hook = self.world.hooks.new(self.world, self.repository(given['repository']), given['url'],
                                    given.get('event_types', ['git:push:0.1', 'merge-proposal:0.1']), given.get('secret'),
                                    given.get('active', True), given.get('pattern'))
        return {'id': hook.id}

    def hook(self, number):
        return next(hook for repository in self.world.repositories.values() for hook in repository.hooks if hook.id == number)

    def do_ping(self, given):
        return {'delivery': self.world.hooks.deliver(self.world, self.hook(given['hook']), 'ping', {'ping': True}).id}

    def do_pause(self, given):
        """Deliveries wait, until `resume`: {"backwards": true} sends the newest first."""
        self.world.hooks.paused = True
        return {}

    def do_resume(self, given):
        self.world.hooks.resume(self.world, given.get('backwards', False))
        return {}

    def do_deliveries(self, given):
        found = []
        for delivery in self.hook(given['hook']).deliveries:
            found.append({'id': delivery.id, 'event_type': delivery.event_type, 'payload': delivery.payload, 'pending': delivery.pending,
                          'successful': delivery.successful, 'error_message': delivery.error_message, 'attempts': delivery.attempts})
        return {'deliveries': found}

    def do_redeliver(self, given):
        delivery = next(each for each in self.hook(given['hook']).deliveries if each.id == given['delivery'])
        self.world.hooks.retry(self.world, delivery, given.get('reset', False))
        return {}

    # --- the double itself

    def do_set(self, given):
        unknown = set(given) - set(self.world.settings)
        if unknown:
            raise ValueError('%s: not one of %s' % (', '.join(sorted(unknown)), ', '.join(sorted(self.world.settings))))
        self.world.settings.update(given)
        return dict(self.world.settings)

    def do_fault(self, given):
        with self.turn:
            self.faults.append(Fault(given))
        return {}

    def do_clear(self, given):
        with self.turn:
            self.faults.clear()
        return {}

    def do_late(self, _):
        """What was to take effect late does so now."""
        acts = self.taken_now()
        for act in acts:
            act()
        return {'late': len(acts)}

    def do_asked(self, given):
        """Everything that came over REST, git and the dance since {"after": number}; the secrets in headers aside."""
        with self.turn:
            return {'asked': self.asked[given.get('after', 0):]}
