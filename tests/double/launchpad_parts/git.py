"""Real bare repositories on disk: made, watched, compared; and served over smart HTTP, as git.launchpad.net does."""
import base64
import os
import subprocess

from .model import Refusal

BACKEND = '/usr/lib/git-core/git-http-backend'
ENVIRONMENT = {'PATH': '/usr/bin:/bin', 'HOME': '/nonexistent', 'LC_ALL': 'C.UTF-8', 'GIT_CONFIG_NOSYSTEM': '1',
               'GIT_CONFIG_COUNT': '1', 'GIT_CONFIG_KEY_0': 'safe.directory', 'GIT_CONFIG_VALUE_0': '*'}
HOOK = '#!/bin/sh\n# Tells the double of Launchpad that something was pushed.\nexec python3 "{program}" --tell {address} "$PWD"\n'


class Git:
    def __init__(self, world, folder, program):
        self.world, self.folder, self.program, self.address = world, folder, program, None
        self.seen = {}  # repository -> what its files looked like at the last scan

    def run(self, repository, *command, check=True):
        done = subprocess.run(('git', '--git-dir', repository.folder) + command, env=ENVIRONMENT, stdin=subprocess.DEVNULL,
                              capture_output=True, check=False)
        if check and done.returncode:
            raise RuntimeError('git %s: %s' % (' '.join(command), done.stderr.decode('utf-8', 'replace')))
        return done

    def make(self, unique_name, existing=None):
        """The folder of a new bare repository; or of one that is there, which gets our hook."""
        folder = existing or os.path.join(self.folder, unique_name)
        if not existing:
            subprocess.run(['git', 'init', '--quiet', '--bare', '--initial-branch=main', folder], env=ENVIRONMENT, check=True)
        hook = os.path.join(folder, 'hooks', 'post-receive')
        if existing and os.path.exists(hook):
            raise Refusal(400, '%s is there: it is not overwritten' % hook)
        os.makedirs(os.path.dirname(hook), exist_ok=True)
        with open(hook, 'w', encoding='utf-8') as file:
            file.write(HOOK.format(program=self.program, address=self.address))
        os.chmod(hook, 0o755)
        return folder

    def refs(self, repository):
        lines = self.run(repository, 'for-each-ref', '--format=%(refname) %(objectname)').stdout.decode().splitlines()
        return dict(line.split(' ') for line in lines)

    # --- seeing pushes

    def look(self, repository):
        """What the files of the refs look like: cheap, and different after each change."""
        paths = [os.path.join(repository.folder, 'packed-refs')]
        for folder, _, names in os.walk(os.path.join(repository.folder, 'refs')):
            paths += [folder] + [os.path.join(folder, name) for name in names]
        found = []
        for path in paths:
            try:
                found.append((path, os.stat(path).st_mtime_ns))
            except FileNotFoundError:
                found.append((path, 0))
        return sorted(found)

    def scan(self, repository):
        """Before it is looked at, so that what comes meanwhile is seen the next time."""
        with self.world.lock:
            self.seen[repository.id] = self.look(repository)
            self.world.pushed(repository, self.refs(repository))

    def told(self, repository):
        self.world.timeline.after(self.world.settings['scan_delay'], self.scan, repository)

    def watch(self):
        """Pushes by who switches hooks off are seen too, a little later."""
        with self.world.lock:
            repositories = list(self.world.repositories.values())
        for repository in repositories:
            if self.seen.get(repository.id) != self.look(repository):
                self.seen[repository.id] = self.look(repository)
                self.told(repository)
        self.world.timeline.after(0.25, self.watch)

    # --- comparing commits

    def both(self, proposal):
        """The target's repository, with the source's objects reachable from it."""
        source, target = proposal.source[0], proposal.target[0]
        if source is not target:
            self.run(target, 'fetch', '--quiet', '--no-tags', '--no-write-fetch-head', source.folder, proposal.source[1], check=False)
        return target

    def diff(self, proposal, source, target):
        repository = self.both(proposal)
        done = self.run(repository, 'diff', '%s...%s' % (target, source), check=False)
        tree = self.run(repository, 'merge-tree', '--write-tree', target, source, check=False)
        return done.stdout.decode('utf-8', 'replace'), tree.stdout.decode('utf-8', 'replace') if tree.returncode == 1 else None

    def merge_of(self, proposal, source, target):
        """The first commit of the target's first-parent line that has the source; None: it is not merged."""
        repository = self.both(proposal)
        if self.run(repository, 'merge-base', '--is-ancestor', source, target, check=False).returncode:
            return None
        line = self.run(repository, 'rev-list', '--first-parent', '--ancestry-path', '%s..%s' % (source, target), check=False)
        commits = line.stdout.decode().split()
        return commits[-1] if commits else target

    # --- smart HTTP

    def person_of(self, header, tokens):
        """HTTPS takes any user name of the person, with a personal access token as the password."""
        if not header or not header.startswith('Basic '):
            return None
        try:
            name, _, secret = base64.b64decode(header[6:], validate=True).decode().partition(':')
        except ValueError:
            return None
        person = tokens.get(secret)
        return person if person and person.name == name else None

    def serve(self, request, person):
        """One request of git's; the path is /UNIQUE_NAME/info/refs, …/git-upload-pack or …/git-receive-pack."""
        for end in ('/info/refs', '/git-upload-pack', '/git-receive-pack'):
            if request.path.endswith(end):
                break
        else:
            raise Refusal(404, 'not a request of git')
        name = request.path[:-len(end)].strip('/').removesuffix('.git')
        repository = self.world.repositories.get(name)
        if not repository:
            raise Refusal(404, 'Repository not found.')
        writes = 'git-receive-pack' in request.path + request.query
        if writes and not self.world.is_in(person, repository.owner):
            raise Refusal(403 if person else 401, 'Authorisation required.')
        environment = dict(ENVIRONMENT, GIT_PROJECT_ROOT=os.path.dirname(repository.folder), GIT_HTTP_EXPORT_ALL='1',
                           PATH_INFO='/' + os.path.basename(repository.folder) + end, QUERY_STRING=request.query,
                           REQUEST_METHOD=request.method, CONTENT_TYPE=request.headers.get('Content-Type', ''),
                           CONTENT_LENGTH=str(len(request.body)), REMOTE_USER=person.name if person else '',
                           GIT_PROTOCOL=request.headers.get('Git-Protocol', ''), REMOTE_ADDR='127.0.0.1')
        if request.headers.get('Content-Encoding'):
            environment['HTTP_CONTENT_ENCODING'] = request.headers['Content-Encoding']
        done = subprocess.run([BACKEND], input=request.body, env=environment, capture_output=True, check=False)
        head, _, body = done.stdout.partition(b'\r\n\r\n')
        headers = dict(line.split(': ', 1) for line in head.decode('latin-1').split('\r\n') if ': ' in line)
        status = int(headers.pop('Status', '200').split()[0])
        return status, headers, body
