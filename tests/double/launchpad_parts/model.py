"""What Launchpad knows: people, repositories, merge proposals, votes, comments, preview diffs; and its rules. No HTTP here."""
import copy
import datetime
import heapq
import itertools
import threading
import time
import traceback

STATUSES = ('Work in progress', 'Needs review', 'Approved', 'Rejected', 'Merged', 'Code failed to merge', 'Queued', 'Superseded')
FINAL = ('Rejected', 'Merged', 'Superseded')
VOTES = ('Approve', 'Needs Fixing', 'Needs Information', 'Abstain', 'Disapprove', 'Needs Resubmitting')
EVENT_TYPES = ('bug:0.1', 'bug:comment:0.1', 'bzr:push:0.1', 'ci:build:0.1', 'git:push:0.1', 'merge-proposal:0.1') + tuple(
    'merge-proposal:0.1::' + part for part in ('create', 'push', 'review', 'edit', 'status-change', 'delete'))


class Refusal(Exception):
    """What Launchpad answers instead: a status and a text."""

    def __init__(self, status, text):
        super().__init__(text)
        self.status = status
        self.text = text


class Oops(Refusal):
    """An exception in Launchpad without a web service status of its own."""

    def __init__(self, text):
        super().__init__(500, text)


class Timeline:
    """What is to happen later: one thread, in the order of time."""

    def __init__(self):
        self.heap, self.order, self.turn, self.stopped = [], itertools.count(), threading.Condition(), False
        threading.Thread(target=self.run, daemon=True).start()

    def after(self, seconds, act, *values):
        with self.turn:
            heapq.heappush(self.heap, (time.monotonic() + seconds, next(self.order), act, values))
            self.turn.notify()

    def run(self):
        while not self.stopped:
            with self.turn:
                while not self.heap or self.heap[0][0] > time.monotonic():
                    self.turn.wait(self.heap[0][0] - time.monotonic() if self.heap else None)
                act, values = heapq.heappop(self.heap)[2:]
            try:
                act(*values)
            except Exception:  # shown, and the next one has its turn: a test looks for this on standard error
                traceback.print_exc()


class Person:
    def __init__(self, name, display_name=None, members=()):
        self.name, self.display_name, self.members = name, display_name or name.capitalize(), set(members)
        self.sshkeys = []  # lines


class Repository:
    def __init__(self, number, unique_name, owner, folder):
        self.id, self.unique_name, self.owner, self.folder = number, unique_name, owner, folder
        self.reviewer = None  # None: who owns it
        self.refs = {}        # as the scanner last saw them
        self.hooks = []


class Diff:
    def __init__(self, number, source, target, prerequisite, text, conflicts, date):
        self.id, self.source, self.target, self.prerequisite, self.text = number, source, target, prerequisite, text
        self.conflicts, self.date_created = conflicts, date


class Comment:
    def __init__(self, number, author, subject, content, vote, vote_tag, date):
        self.id, self.author, self.subject, self.content, self.vote, self.vote_tag = number, author, subject, content, vote, vote_tag
        self.date_created, self.date_deleted = date, None


class Vote:
    def __init__(self, number, registrant, reviewer, review_type, date):
        self.id, self.registrant, self.reviewer, self.review_type, self.date_created = number, registrant, reviewer, review_type, date
        self.comment = None


class Proposal:
    def __init__(self, number, registrant, source, target, date):
        self.id, self.registrant, self.date_created = number, registrant, date
        self.source, self.target = source, target  # (repository, path)
        self.prerequisite = (None, None)
        self.queue_status = 'Work in progress'
        self.commit_message = self.description = self.whiteboard = None
        self.reviewer = self.date_reviewed = self.reviewed_revid = self.date_review_requested = None
        self.date_merged = self.merged_revision_id = self.merge_reporter = self.superseded_by = None
        self.diffs, self.comments, self.votes = [], [], []

    @property
    def path(self):
        return '%s/+merge/%d' % (self.source[0].unique_name, self.id)

    @property
    def title(self):
        def identity(end):
            return '%s:%s' % (end[0].unique_name, end[1].removeprefix('refs/heads/'))
        return '[Merge] %s into %s' % (identity(self.source), identity(self.target))


class World:
    """All of it, and one lock around it."""

    def __init__(self, hooks):
        self.lock = threading.RLock()
        self.hooks = hooks
        self.timeline = Timeline()
        self.people, self.repositories, self.proposals = {}, {}, {}
        self.numbers = itertools.count(101)
        self.settings = {'diff_delay': 0.05, 'scan_delay': 0.0, 'diffs_kept': 100, 'minute': 60.0, 'effort': 'public',
                         'hooks': True, 'clock': 0.0, 'batch': 50}

    def now(self):
        return datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=self.settings['clock'])

    # --- who may what

    def person(self, name):
        if name not in self.people:
            raise Refusal(404, 'Object: <Directory of people>, name: %r' % ('~' + str(name)))
        return self.people[name]

    def is_in(self, person, team):
        return person is not None and (person is team or person.name in team.members)

    def is_trusted(self, person, repository):
        """lp/code/model/gitref.py isPersonTrustedReviewer: who owns the target, or its review team."""
        return self.is_in(person, repository.owner) or (repository.reviewer is not None and self.is_in(person, repository.reviewer))

    def may_edit(self, person, proposal):
        return (self.is_in(person, proposal.registrant) or self.is_in(person, proposal.source[0].owner)
                or self.is_trusted(person, proposal.target[0]))

    # --- proposals

    def propose(self, registrant, source, target, prerequisite=None, needs_review=False, **words):
        for repository, path in (source, target) + ((prerequisite,) if prerequisite else ()):
            if path not in repository.refs:
                raise Refusal(404, 'Object: <GitRepository %s>, name: %r' % (repository.unique_name, path))
        if source == target:
            raise Refusal(400, 'Source and target references must be different.')
        for other in self.proposals.values():
            if (other.source, other.target) == (source, target) and other.queue_status not in FINAL:
                raise Refusal(400, 'There is already a branch merge proposal registered for branch %s to land on %s that is still active.'
                              % (source[1], target[1]))
        proposal = Proposal(next(self.numbers), registrant, source, target, self.now())
        proposal.prerequisite = prerequisite or (None, None)
        proposal.commit_message, proposal.description = words.get('commit_message'), words.get('description')
        if needs_review:
            proposal.queue_status, proposal.date_review_requested = 'Needs review', proposal.date_created
        self.proposals[proposal.id] = proposal
        self.hooks.proposal(self, 'created', None, proposal)
        self.schedule_diff(proposal)
        return proposal

    def delete(self, proposal):
        self.hooks.proposal(self, 'deleted', proposal, None)
        del self.proposals[proposal.id]

    def modify(self, proposal, act, scope='edit'):
        """Runs act() and tells what it changed; nothing is told of an act that fails."""
        before = copy.copy(proposal)
        act()
        if before.queue_status != proposal.queue_status:
            scope = 'status-change'
        self.hooks.proposal(self, 'modified', before, proposal, scope)

    def move(self, proposal, person, status):
        """is_valid_transition, for who is no trusted reviewer of the target."""
        old = proposal.queue_status
        trusted = self.is_trusted(person, proposal.target[0])
        duplicate = any(other is not proposal and (other.source, other.target) == (proposal.source, proposal.target)
                        and other.queue_status not in FINAL for other in self.proposals.values())
        bad = old in FINAL and status not in FINAL and duplicate
        bad = bad or (not trusted and (status in ('Rejected', 'Code failed to merge', 'Queued') or old in ('Code failed to merge', 'Queued')
                                       or (status == 'Approved' and old != 'Approved')))
        if old != status and bad:
            raise Oops('BadStateTransition: Invalid state transition for merge proposal: %s -> %s' % (old, status))
        proposal.queue_status = status

    def set_status(self, proposal, person, status, revid=None):
        def unreviewed():
            proposal.reviewer = proposal.date_reviewed = proposal.reviewed_revid = None

        def act():
            old = proposal.queue_status
            if status == 'Work in progress':
                self.move(proposal, person, status)
                unreviewed()
            elif status == 'Needs review':
                if old != status:
                    self.move(proposal, person, status)
                    proposal.date_review_requested = self.now()
                    unreviewed()
            elif status in ('Approved', 'Rejected'):
                if not self.is_trusted(person, proposal.target[0]):
                    raise Oops('UserNotBranchReviewer')
                self.move(proposal, person, status)
                proposal.reviewer, proposal.date_reviewed, proposal.reviewed_revid = person, self.now(), revid
            elif status == 'Merged':
                self.move(proposal, person, status)
                proposal.merged_revision_id, proposal.merge_reporter, proposal.date_merged = revid, person, self.now()
                if old == 'Rejected':
                    unreviewed()
            else:
                raise Oops('AssertionError: Unexpected queue status: %s' % status)
        self.modify(proposal, act)

    def comment(self, proposal, author, subject=None, content=None, vote=None, review_type=None, parent=None):
        if content is None:
            raise Oops('IntegrityError: a message without content')
        if not subject:
            subject = parent.subject if parent else proposal.title
            if not subject.startswith('Re: '):
                subject = 'Re: ' + subject
        review_type = (review_type or '').strip().lower() or None
        comment = Comment(next(self.numbers), author, subject, content, vote, review_type, self.now())
        proposal.comments.append(comment)
        if vote is not None:
            reference = self.vote_of(proposal, author, review_type)
            reference.reviewer, reference.review_type, reference.comment = author, review_type, comment
        self.hooks.proposal(self, 'reviewed', proposal, proposal)
        return comment

    def vote_of(self, proposal, person, review_type):
        """A vote of that person, else one asked of a team of theirs, else a new one: at most one for a person."""
        for vote in proposal.votes:
            if vote.reviewer is person:
                return vote
        for vote in proposal.votes:
            if vote.comment is None and vote.review_type in (review_type, None) and self.is_in(person, vote.reviewer):
                return vote
        return self.nominate(proposal, person, person, review_type)

    def nominate(self, proposal, registrant, reviewer, review_type=None):
        vote = Vote(next(self.numbers), registrant, reviewer, (review_type or '').strip().lower() or None, self.now())
        proposal.votes.append(vote)
        return vote

    # --- what the scanner does

    def schedule_diff(self, proposal):
        self.timeline.after(self.settings['diff_delay'], self.make_diff, proposal)

    def make_diff(self, proposal):
        """UpdatePreviewDiffJob: of the tips of that moment, and as late as that."""
        with self.lock:
            source, target = (end[0].refs.get(end[1]) for end in (proposal.source, proposal.target))
            if proposal.id not in self.proposals or not source or not target or self.settings['diff_delay'] < 0:
                return
            prerequisite = proposal.prerequisite[0] and proposal.prerequisite[0].refs.get(proposal.prerequisite[1])
            text, conflicts = self.git.diff(proposal, source, target)
            diff = Diff(next(self.numbers), source, target, prerequisite, text, conflicts, self.now())

            def act():
                proposal.diffs = (proposal.diffs + [diff])[-self.settings['diffs_kept']:]
            self.modify(proposal, act, 'push')

    def pushed(self, repository, refs):
        """GitRefScanJob: what moved is told, diffs are scheduled, merges are detected."""
        old, repository.refs = repository.refs, refs
        moved = {path for path in set(old) | set(refs) if old.get(path) != refs.get(path)}
        if not moved:
            return
        self.hooks.push(self, repository, {path: (old.get(path), refs.get(path)) for path in sorted(moved)})
        for proposal in list(self.proposals.values()):
            if proposal.queue_status in FINAL:
                continue
            if proposal.source[0] is repository and proposal.source[1] in moved & set(refs):
                self.schedule_diff(proposal)
            if proposal.target[0] is repository and proposal.target[1] in moved & set(refs):
                self.detect_merge(proposal)

    def detect_merge(self, proposal):
        source, target = (end[0].refs.get(end[1]) for end in (proposal.source, proposal.target))
        merge = source and self.git.merge_of(proposal, source, target)
        if not merge:
            return

        def act():
            proposal.queue_status, proposal.merged_revision_id, proposal.date_merged = 'Merged', merge, self.now()
        self.modify(proposal, act)
