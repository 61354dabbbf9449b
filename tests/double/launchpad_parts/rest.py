"""The REST API (devel, 1.0, beta): entries, collections, named operations, as lazr.restful serves them."""
import hashlib
import json
import re
import urllib.parse

from .model import EVENT_TYPES, STATUSES, VOTES, Oops, Refusal

MISSING = object()
BATCH_MAXIMUM = 300
ORIGINS = {'proposal': 'branch_merge_proposal', 'diff': 'preview_diff', 'comment': 'code_review_comment',
           'vote': 'code_review_vote_reference', 'repository': 'git_repository', 'ref': 'git_ref', 'person': 'person', 'hook': 'webhook',
           'delivery': 'webhook_delivery'}


def iso(date):
    return None if date is None else date.strftime('%Y-%m-%dT%H:%M:%S.%f+00:00')


class Reply:
    def __init__(self, status, body, kind='application/json', **headers):
        self.status, self.body, self.headers = status, body, {'Content-Type': kind}
        self.headers.update({name.replace('_', '-'): value for name, value in headers.items()})


class Entry:
    """A thing at an address: its fields, those that PATCH may change, its operations and its collections."""

    def __init__(self, kind, path, fields, writable=(), web=True):
        self.kind, self.path, self.fields, self.writable, self.web = kind, path, fields, tuple(writable), web
        self.gets, self.posts, self.collections, self.patch = {}, {}, {}, None


class Parameter:
    """A parameter of a named operation: how its text becomes a value, and what is refused (lazr.restful marshallers)."""

    def __init__(self, name, kind, required=False, choices=()):
        self.name, self.kind, self.required, self.choices = name, kind, required, choices

    def load(self, texts):
        """Parsed as JSON when it is JSON, else taken as it is: unquoted text like 25 or true is no text."""
        values = []
        for text in texts:
            try:
                values.append(json.loads(text))
            except ValueError:
                values.append(text)
        if self.kind == 'list':
            values = values[0] if len(values) == 1 and isinstance(values[0], list) else values
            return [self.check(value) for value in values]
        return self.check(values[-1])

    def check(self, value):
        if value is None:
            return None
        types = {'text': str, 'line': str, 'choice': str, 'list': str, 'integer': int, 'boolean': bool, 'dict': dict, 'link': str, 'lines': list}
        wanted = types[self.kind]
        if not isinstance(value, wanted) or (wanted is int and isinstance(value, bool)):
            raise ValueError("got '%s', expected %s: %r" % (type(value).__name__, wanted.__name__, value))
        if self.kind == 'line' and '\n' in value:
            raise ValueError('Constraint not satisfied')
        if self.choices and value not in self.choices:
            raise ValueError('Invalid value "%s". Acceptable values are: %s' % (value, ', '.join(self.choices)))
        return value


class Rest:
    def __init__(self, world, git):
        self.world, self.git, self.root = world, git, None
        self.version, self.person, self.request = 'devel', None, None  # of the request that is served

    # --- addresses

    def link(self, path):
        return None if path is None else '%s/%s/%s' % (self.root, self.version, urllib.parse.quote(path, safe='/~+:@-._'))

    def resolve(self, link):
        for version in ('devel', '1.0', 'beta'):
            start = '%s/%s/' % (self.root, version)
            if link.startswith(start):
                return self.find(urllib.parse.unquote(link[len(start):]))
        if link.startswith('/'):
            return self.find(urllib.parse.unquote(link[1:]))
        raise ValueError('No such object "%s".' % link)

    def find(self, path):
        """The entry or collection below a version's root."""
        place, _, rest = path.strip('/').partition('/+merge/')
        if rest:
            return self.below_proposal(path, place, rest.split('/'))
        for name, repository in self.world.repositories.items():
            if path == name or path.startswith(name + '/'):
                return self.below_repository(path, repository, path[len(name) + 1:])
        if re.fullmatch(r'~[^/]+', path):
            return self.person_entry(self.world.person(path[1:]))
        if re.fullmatch(r'~[^/]+/participants', path):
            return self.person_entry(self.world.person(path[1:].split('/')[0])).collections.get('participants', [])
        if path == '+git':
            return self.git_set()
        raise self.nothing(path)

    @staticmethod
    def nothing(path):
        return Refusal(404, 'Object: <WebServiceApplication>, name: %r' % path)

    def below_proposal(self, path, place, rest):
        proposal = self.world.proposals.get(int(rest[0])) if rest[0].isdigit() else None
        if not proposal or proposal.source[0].unique_name != place:
            raise self.nothing(path)
        entry = self.proposal_entry(proposal)
        if len(rest) == 1:
            return entry
        if len(rest) == 2 and rest[1] in entry.collections:
            return entry.collections[rest[1]]
        things = {'comments': proposal.comments, '+review': proposal.votes, '+preview-diff': proposal.diffs}.get(rest[1], [])
        makers = {'comments': self.comment_entry, '+review': self.vote_entry, '+preview-diff': self.diff_entry}
        for thing in things:
            if len(rest) == 3 and str(thing.id) == rest[2]:
                return makers[rest[1]](proposal, thing)
        raise self.nothing(path)

    def below_repository(self, path, repository, rest):
        entry = self.repository_entry(repository)
        if not rest:
            return entry
        if rest in entry.collections:
            return entry.collections[rest]
        if rest.startswith('+ref/'):
            name, _, last = rest[5:].rpartition('/')
            for ref, collection in ((rest[5:], None), (name, last)):
                full = ref if ref in repository.refs else 'refs/heads/' + ref
                if ref and full in repository.refs:
                    found = self.ref_entry(repository, full)
                    if not collection:
                        return found
                    if collection in found.collections:
                        return found.collections[collection]
        for hook in repository.hooks:
            start = '+webhook/%d' % hook.id
            if rest == start:
                return self.hook_entry(hook)
            if rest == start + '/deliveries':
                return self.hook_entry(hook).collections['deliveries']
            for delivery in hook.deliveries:
                if rest == '%s/+delivery/%d' % (start, delivery.id):
                    return self.delivery_entry(delivery)
        raise self.nothing(path)

    # --- entries

    def person_path(self, person):
        return None if person is None else '~' + person.name

    def person_entry(self, person):
        entry = Entry('person', '~' + person.name, {'name': person.name, 'display_name': person.display_name,
                                                    'is_team': bool(person.members), 'is_valid': True})
        if person.members:
            entry.collections['participants'] = [lambda name=name: self.person_entry(self.world.person(name)) for name in sorted(person.members)]
        return entry

    def repository_entry(self, repository):
        entry = Entry('repository', repository.unique_name, {
            'id': repository.id, 'unique_name': repository.unique_name, 'name': repository.unique_name.rsplit('/', 1)[-1],
            'git_identity': 'lp:' + repository.unique_name, 'git_https_url': '%s/%s' % (self.root, repository.unique_name),
            'git_ssh_url': 'git+ssh://git.launchpad.test/' + repository.unique_name, 'default_branch': 'refs/heads/main', 'private': False,
            'owner_link': self.link(self.person_path(repository.owner)),
            'reviewer_link': self.link(self.person_path(repository.reviewer))})
        refs = [lambda path=path: self.ref_entry(repository, path) for path in sorted(repository.refs)]
        entry.collections.update(refs=refs, branches=refs, webhooks=[lambda hook=hook: self.hook_entry(hook) for hook in repository.hooks])
        self.add_proposals(entry, lambda end: end[0] is repository)
        entry.gets['getRefByPath'] = ((Parameter('path', 'line', True),), lambda path: self.ref_by_path(repository, path))
        entry.posts['newWebhook'] = ((Parameter('delivery_url', 'line', True), Parameter('event_types', 'list', True, EVENT_TYPES),
                                      Parameter('active', 'boolean'), Parameter('secret', 'line'), Parameter('git_ref_pattern', 'line')),
                                     lambda **values: self.new_hook(repository, **values))
        return entry

    def ref_by_path(self, repository, path):
        for name in (path, 'refs/heads/' + path):
            if name in repository.refs:
                return self.ref_entry(repository, name)
        return None

    def ref_entry(self, repository, path):
        entry = Entry('ref', '%s/+ref/%s' % (repository.unique_name, path.removeprefix('refs/heads/')), {
            'path': path, 'commit_sha1': repository.refs[path], 'repository_link': self.link(repository.unique_name)})
        self.add_proposals(entry, lambda end: end == (repository, path))
        return entry

    def add_proposals(self, entry, is_this):
        """On a repository and a ref: proposals into it and out of it, and the operation that finds them by status (devel)."""
        every = sorted(self.world.proposals.values(), key=lambda proposal: (-proposal.date_created.timestamp(), proposal.id))

        def listed(wanted):
            return [lambda proposal=proposal: self.proposal_entry(proposal) for proposal in every if wanted(proposal)]

        def get_merge_proposals(status=None, merged_revision_ids=None):
            wanted = status or ['Approved', 'Needs review', 'Work in progress']
            return listed(lambda proposal: is_this(proposal.target) and proposal.queue_status in wanted
                          and (not merged_revision_ids or proposal.merged_revision_id in merged_revision_ids))
        final = ('Rejected', 'Merged', 'Superseded')
        entry.collections['landing_candidates'] = listed(lambda p: is_this(p.target) and p.queue_status not in final)
        entry.collections['landing_targets'] = listed(lambda p: is_this(p.source) and p.queue_status not in final)
        entry.collections['dependent_landings'] = listed(lambda p: is_this(p.prerequisite) and p.queue_status not in final)
        if self.version == 'devel':
            entry.gets['getMergeProposals'] = ((Parameter('status', 'list', False, STATUSES), Parameter('merged_revision_ids', 'list')),
                                               get_merge_proposals)

    def git_set(self):
        entry = Entry('repository', '+git', {})

        def get_by_path(path):
            repository = self.world.repositories.get(path)
            return repository and self.repository_entry(repository)
        entry.gets['getByPath'] = ((Parameter('path', 'line', True),), get_by_path)
        return entry

    def proposal_entry(self, proposal):
        def end(prefix, where):
            return {prefix + '_git_repository_link': self.link(where[0] and where[0].unique_name), prefix + '_git_path': where[1],
                    prefix + '_branch_link': None}
        newest = proposal.diffs[-1] if proposal.diffs else None
        entry = Entry('proposal', proposal.path, {
            **end('source', proposal.source), **end('target', proposal.target), **end('prerequisite', proposal.prerequisite),
            'address': 'mp+%d@code.launchpad.test' % proposal.id, 'private': False,
            'registrant_link': self.link(self.person_path(proposal.registrant)), 'queue_status': proposal.queue_status,
            'reviewer_link': self.link(self.person_path(proposal.reviewer)), 'reviewed_revid': proposal.reviewed_revid,
            'date_created': iso(proposal.date_created), 'date_review_requested': iso(proposal.date_review_requested),
            'date_reviewed': iso(proposal.date_reviewed), 'date_merged': iso(proposal.date_merged), 'merged_revno': None,
            'merged_revision_id': proposal.merged_revision_id, 'merge_reporter_link': self.link(self.person_path(proposal.merge_reporter)),
            'superseded_by_link': None, 'supersedes_link': None, 'commit_message': proposal.commit_message,
            'description': proposal.description,
            'preview_diff_link': self.link(newest and '%s/+preview-diff/%d' % (proposal.path, newest.id))},
            writable=('commit_message', 'description'))
        entry.collections.update(
            all_comments=[lambda comment=comment: self.comment_entry(proposal, comment) for comment in proposal.comments],
            votes=[lambda vote=vote: self.vote_entry(proposal, vote) for vote in proposal.votes],
            preview_diffs=[lambda diff=diff: self.diff_entry(proposal, diff) for diff in proposal.diffs])
        entry.posts['setStatus'] = ((Parameter('status', 'choice', True, STATUSES), Parameter('revid', 'line')),
                                    lambda **values: self.set_status(proposal, **values))
        entry.posts['createComment'] = (
            (Parameter('subject', 'text'), Parameter('content', 'text'), Parameter('vote', 'choice', False, VOTES),
             Parameter('review_type', 'text'), Parameter('parent', 'link'), Parameter('previewdiff_id', 'integer'),
             Parameter('inline_comments', 'dict')), lambda **values: self.create_comment(proposal, **values))
        entry.posts['nominateReviewer'] = ((Parameter('reviewer', 'link', True), Parameter('review_type', 'text')),
                                           lambda **values: self.nominate(proposal, **values))
        if self.version == 'devel':
            entry.posts['scheduleDiffUpdates'] = ((), lambda: self.editor(proposal, 'scheduleDiffUpdates') and
                                                  self.world.schedule_diff(proposal))
        entry.gets['getComment'] = ((Parameter('id', 'integer', True),), lambda id: self.get_comment(proposal, id))
        entry.patch = lambda changes: self.patch_proposal(proposal, changes)
        return entry

    def diff_entry(self, proposal, diff):
        tips = [end[0] and end[0].refs.get(end[1]) for end in (proposal.source, proposal.target)]
        path = '%s/+preview-diff/%d' % (proposal.path, diff.id)
        return Entry('diff', path, {
            'id': diff.id, 'branch_merge_proposal_link': self.link(proposal.path), 'source_revision_id': diff.source,
            'target_revision_id': diff.target, 'prerequisite_revision_id': diff.prerequisite, 'conflicts': diff.conflicts,
            'date_created': iso(diff.date_created), 'stale': tips != [diff.source, diff.target], 'title': '%s into %s' % tuple(
                end[1].removeprefix('refs/heads/') for end in (proposal.source, proposal.target)),
            'diff_lines_count': diff.text.count('\n'), 'diff_text_link': self.link(path + '/diff_text')})

    def comment_entry(self, proposal, comment):
        entry = Entry('comment', '%s/comments/%d' % (proposal.path, comment.id), {
            'id': comment.id, 'branch_merge_proposal_link': self.link(proposal.path), 'author_link': self.link('~' + comment.author.name),
            'date_created': iso(comment.date_created), 'vote': comment.vote, 'vote_tag': comment.vote_tag, 'title': comment.subject,
            'message_body': comment.content, 'content': comment.content, 'as_quoted_email': comment.content and '> ' + comment.content.replace(
                '\n', '\n> '), 'date_last_edited': None, 'date_deleted': iso(comment.date_deleted), 'owner_link': self.link(
                    '~' + comment.author.name)})

        def delete_content():
            if self.person is not comment.author:
                raise self.unauthorized('CodeReviewComment', 'launchpad.Edit')
            comment.content, comment.date_deleted = '', self.world.now()
        if self.version == 'devel':
            entry.posts['deleteContent'] = ((), delete_content)
        return entry

    def vote_entry(self, proposal, vote):
        return Entry('vote', '%s/+review/%d' % (proposal.path, vote.id), {
            'branch_merge_proposal_link': self.link(proposal.path), 'date_created': iso(vote.date_created),
            'registrant_link': self.link('~' + vote.registrant.name), 'reviewer_link': self.link('~' + vote.reviewer.name),
            'review_type': vote.review_type, 'is_pending': vote.comment is None,
            'comment_link': self.link(vote.comment and '%s/comments/%d' % (proposal.path, vote.comment.id))})

    def hook_entry(self, hook):
        path = '%s/+webhook/%d' % (hook.repository.unique_name, hook.id)
        entry = Entry('hook', path, {
            'delivery_url': hook.url, 'event_types': hook.event_types, 'active': hook.active, 'git_ref_pattern': hook.pattern,
            'date_created': iso(hook.date_created), 'target_link': self.link(hook.repository.unique_name)}, writable=('active', 'delivery_url'))
        entry.collections['deliveries'] = [lambda delivery=delivery: self.delivery_entry(delivery) for delivery in reversed(hook.deliveries)]

        def owned():
            if not self.world.is_in(self.person, hook.repository.owner):
                raise self.unauthorized('Webhook', 'launchpad.Edit')
            return True

        def ping():
            delivery = owned() and self.world.hooks.deliver(self.world, hook, 'ping', {'ping': True})
            return Reply(201, b'', 'text/plain', Location=self.link(self.delivery_entry(delivery).path))

        def patch(changes):
            owned()
            hook.active, hook.url = changes.get('active', hook.active), changes.get('delivery_url', hook.url)
        entry.patch = patch
        entry.posts['ping'] = ((), ping)
        entry.posts['setSecret'] = ((Parameter('secret', 'line'),), lambda secret=None: owned() and setattr(hook, 'secret', secret))
        return entry

    def delivery_entry(self, delivery):
        hook = delivery.hook
        entry = Entry('delivery', '%s/+webhook/%d/+delivery/%d' % (hook.repository.unique_name, hook.id, delivery.id), {
            'pending': delivery.pending, 'successful': delivery.successful, 'error_message': delivery.error_message,
            'date_created': iso(delivery.date_created), 'date_scheduled': iso(delivery.date_scheduled),
            'date_first_sent': iso(delivery.date_first_sent), 'date_sent': iso(delivery.date_sent), 'event_type': delivery.event_type,
            'payload': delivery.payload})
        entry.posts['retry'] = ((Parameter('reset', 'boolean'),), lambda reset=False: self.world.hooks.retry(self.world, delivery, reset))
        return entry

    # --- what operations do

    def unauthorized(self, what, permission):
        return Refusal(401, '(<%s object>, %r, %r)' % (what, self.person and self.person.name, permission))

    def anybody(self, what):
        if self.person is None:
            raise self.unauthorized(what, 'launchpad.AnyAllowedPerson')
        return self.person

    def editor(self, proposal, operation):
        if not self.person or not self.world.may_edit(self.person, proposal):
            raise self.unauthorized('BranchMergeProposal', operation + ', launchpad.Edit')
        return True

    def set_status(self, proposal, status, revid=None):
        self.editor(proposal, 'setStatus')
        self.world.set_status(proposal, self.person, status, revid)

    def create_comment(self, proposal, parent=None, previewdiff_id=None, inline_comments=None, **values):
        author, above = self.anybody('BranchMergeProposal'), None
        if parent is not None:
            above = next((comment for comment in proposal.comments if comment.id == self.resolve(parent).fields.get('id')), None)
            if above is None:
                raise Oops('AssertionError: Replies must use the same merge proposal as their parent')
        if inline_comments and previewdiff_id not in [diff.id for diff in proposal.diffs]:
            raise Oops('AssertionError: Inline comments must be associated with a previewdiff ID.')
        comment = self.world.comment(proposal, author, parent=above, **values)
        return Reply(201, b'', 'text/plain', Location=self.link(self.comment_entry(proposal, comment).path))

    def get_comment(self, proposal, number):
        for comment in proposal.comments:
            if comment.id == number:
                return self.comment_entry(proposal, comment)
        raise Refusal(404, 'Object: <BranchMergeProposal>, name: %d' % number)

    def nominate(self, proposal, reviewer, review_type=None):
        self.editor(proposal, 'nominateReviewer')
        person = self.world.person(self.resolve(reviewer).path[1:])
        return self.vote_entry(proposal, self.world.nominate(proposal, self.person, person, review_type))

    def new_hook(self, repository, delivery_url, event_types, active=True, secret=None, git_ref_pattern=None):
        if not self.world.is_in(self.person, repository.owner):
            raise self.unauthorized('GitRepository', 'launchpad.Edit')
        parents = {name for name in event_types if '::' not in name}
        if any(name.split('::')[0] in parents for name in event_types if '::' in name):
            raise Refusal(400, 'event_types: a parent and its sub-scopes cannot be mixed')
        if secret is not None and len(secret) > 200:
            raise Refusal(400, 'secret: Value is too long')
        active = True if active is None else active
        hook = self.world.hooks.new(self.world, repository, delivery_url, event_types, secret, active, git_ref_pattern)
        return Reply(201, b'', 'text/plain', Location=self.link(self.hook_entry(hook).path))

    def patch_proposal(self, proposal, changes):
        self.editor(proposal, 'PATCH')

        def act():
            for name, value in changes.items():
                if value is not None and not isinstance(value, str):
                    raise Refusal(400, "%s: got '%s', expected str: %r" % (name, type(value).__name__, value))
                setattr(proposal, name, value.strip() if value and name == 'commit_message' else value)
        self.world.modify(proposal, act)

    # --- serving

    def etag(self, entry):
        """Two parts: what nobody can write, and what PATCH may; a write is refused when the second differs."""
        def part(names):
            return hashlib.sha1(json.dumps([(name, entry.fields[name]) for name in names], default=str).encode()).hexdigest()
        return '"%s-%s"' % (part(sorted(set(entry.fields) - set(entry.writable))), part(sorted(entry.writable)))

    def represent(self, entry):
        kind = ORIGINS[entry.kind]
        found = {'self_link': self.link(entry.path), 'web_link': '%s/%s' % (self.root, entry.path),
                 'resource_type_link': '%s/%s/#%s' % (self.root, self.version, kind), **entry.fields}
        for name in entry.collections:
            found[name + '_collection_link'] = self.link('%s/%s' % (entry.path, name))
        found['http_etag'] = self.etag(entry)
        return found

    def batch(self, things, operation):
        """One page: 50 by default, 300 at most; what comes next is to be followed as it is."""
        query = dict(urllib.parse.parse_qsl(self.request.query, keep_blank_values=True))
        try:
            size = int(query.get('ws.size', self.world.settings['batch']))
            start = max(int(query.get('ws.start', 0)), 0)
        except ValueError:
            size, start = self.world.settings['batch'], 0
        if size > BATCH_MAXIMUM:
            raise Refusal(400, 'Maximum for "ws.size" parameter is %d.' % BATCH_MAXIMUM)
        if query.get('ws.show') == 'total_size':
            return Reply(200, json.dumps(len(things)).encode())

        def page(at, **more):
            pairs = [(name, value) for name, value in urllib.parse.parse_qsl(self.request.query) if name not in
                     ('ws.start', 'ws.size', 'memo', 'direction')]
            pairs += [('ws.size', size)] + list(more.items()) + [('ws.start', at)]
            return '%s%s?%s' % (self.root, urllib.parse.quote(self.request.path, safe='/~+:@-._'), urllib.parse.urlencode(pairs))
        found = {'start': start, 'entries': [self.represent(make()) for make in things[start:start + size]]}
        if start + size < len(things):
            found['next_collection_link'] = page(start + size, memo=start + size)
        if start > 0:
            found['prev_collection_link'] = page(max(start - size, 0), memo=start, direction='backwards')
        if operation and self.version == 'devel' and 'next_collection_link' in found:
            pairs = [(name, value) for name, value in urllib.parse.parse_qsl(self.request.query) if name not in ('ws.start', 'ws.size', 'memo')]
            found['total_size_link'] = '%s%s?%s' % (self.root, self.request.path, urllib.parse.urlencode(pairs + [('ws.show', 'total_size')]))
        else:
            found['total_size'] = len(things)
        return Reply(200, json.dumps(found).encode())

    def invoke(self, operations, form):
        name = form.pop('ws.op', [None])[-1]
        if name is None:
            raise Refusal(400, 'No operation name given.')
        if name not in operations:
            raise Refusal(400, 'No such operation: ' + name)
        parameters, act = operations[name]
        values, errors = {}, []
        for parameter in parameters:
            texts = form.pop(parameter.name, None)
            try:
                value = parameter.load(texts) if texts is not None else MISSING
            except ValueError as error:
                errors.append('%s: %s' % (parameter.name, error))
                continue
            if value is MISSING or value is None:
                if parameter.required:
                    errors.append('%s: Required input is missing.' % parameter.name)
                continue
            values[parameter.name] = value
        self.request.ignored = sorted(key for key in form if not key.startswith('ws.') and key not in ('memo', 'direction'))
        if errors:
            raise Refusal(400, '\n'.join(errors))
        try:
            return act(**values)
        except ValueError as error:
            raise Refusal(400, str(error)) from error

    def serve(self, request, person):
        """A request below /VERSION/."""
        _, self.version, path = (request.path + '/').split('/', 2)
        self.person, self.request = person, request
        thing = self.find(path.strip('/'))
        method = request.headers.get('X-HTTP-Method-Override', request.method) if request.method == 'POST' else request.method
        if method == 'GET':
            return self.get(thing)
        if isinstance(thing, list) or method not in ('POST', 'PATCH'):
            return Reply(405, b'', 'text/plain', Allow='GET' if isinstance(thing, list) else 'GET POST PATCH')
        return self.post(thing) if method == 'POST' else self.patch(thing)

    def get(self, thing):
        if isinstance(thing, list):
            return self.batch(thing, operation=False)
        form = urllib.parse.parse_qs(self.request.query, keep_blank_values=True)
        if 'ws.op' in form:
            return self.answer(self.invoke(thing.gets, form))
        tags = [tag.strip() for tag in self.request.headers.get('If-None-Match', '').split(',')]
        if self.etag(thing) in tags:
            return Reply(304, b'', 'application/json', ETag=self.etag(thing))
        return Reply(200, json.dumps(self.represent(thing)).encode(), ETag=self.etag(thing))

    def answer(self, result):
        if isinstance(result, Reply):
            return result
        if isinstance(result, list):
            return self.batch(result, operation=True)
        if isinstance(result, Entry):
            result = self.represent(result)
        return Reply(200, json.dumps(None if result is True else result).encode())

    def post(self, thing):
        kind = self.request.headers.get('Content-Type', '').split(';')[0]
        form = {}
        if kind == 'application/x-www-form-urlencoded':
            try:
                form = urllib.parse.parse_qs(self.request.body.decode(), keep_blank_values=True, encoding='utf-8', errors='strict')
            except UnicodeDecodeError as error:
                raise Refusal(400, 'not UTF-8') from error
        return self.answer(self.invoke(thing.posts, form))

    def patch(self, thing):
        if self.request.headers.get('Content-Type', '').split(';')[0] != 'application/json':
            return Reply(415, b'', 'text/plain')
        tags = self.request.headers.get('If-Match')
        if tags and self.etag(thing).rsplit('-')[-1] not in [tag.strip().rsplit('-')[-1] for tag in tags.split(',')]:
            return Reply(412, b'', 'text/plain')
        try:
            changes = json.loads(self.request.body)
        except ValueError as error:
            raise Refusal(400, 'Entity-body was not a well-formed JSON document.') from error
        if not isinstance(changes, dict):
            raise Refusal(400, 'Expected a JSON hash.')
        for name in changes:
            if name not in thing.fields:
                raise Refusal(400, '%s: You tried to modify a nonexistent attribute.' % name)
            if name not in thing.writable:
                raise Refusal(400, '%s: You tried to modify a read-only attribute.' % name)
        if not thing.patch:
            return Reply(405, b'', 'text/plain', Allow='GET POST')
        thing.patch(changes)
        fresh = self.find(thing.path)
        return Reply(209, json.dumps(self.represent(fresh)).encode(), ETag=self.etag(fresh))
