"""Who asks: OAuth 1.0 PLAINTEXT in the Authorization header, the dance that makes such tokens, personal access tokens."""
import json
import secrets
import time
import urllib.parse

from .model import Refusal

PERMISSIONS = ('READ_PUBLIC', 'WRITE_PUBLIC', 'READ_PRIVATE', 'WRITE_PRIVATE', 'DESKTOP_INTEGRATION')
REQUEST_TOKEN_LIFE = 2 * 3600


class Token:
    def __init__(self, consumer, person, permission):
        self.key, self.secret, self.consumer, self.person, self.permission = (
            secrets.token_hex(10), secrets.token_hex(32), consumer, person, permission)
        self.expired, self.made, self.state = False, time.monotonic(), 'new'


class Auth:
    def __init__(self, world):
        self.world = world
        self.consumers, self.tokens, self.requests = set(), {}, {}
        self.personal = {}  # secret -> person: good for git over HTTPS, and for no method that is modelled here

    def new(self, person, permission='WRITE_PUBLIC', consumer='byoci'):
        self.consumers.add(consumer)
        token = Token(consumer, person, permission)
        self.tokens[token.key] = token
        return token

    @staticmethod
    def fields(header):
        """OAuth realm="…", key="percent-encoded", …"""
        found = {}
        for part in header[len('OAuth'):].split(','):
            name, equals, value = part.strip().partition('=')
            if not equals or len(value) < 2 or value[0] != '"' or value[-1] != '"':
                raise Refusal(401, 'Invalid Authorization header.')
            found[name] = urllib.parse.unquote(value[1:-1])
        return found

    def person_of(self, request):
        """None is anybody. What is signed wrongly is refused, even where anybody may read."""
        header = request.headers.get('Authorization')
        if header is None:
            return None
        if header.startswith('Token '):
            raise Refusal(401, 'Unauthorized: this token may not call that.')
        if not header.startswith('OAuth'):
            return None
        field = self.fields(header)
        if not field.get('oauth_token'):
            return None
        if field.get('oauth_consumer_key') not in self.consumers:
            raise Refusal(401, 'Unknown consumer (%s).' % field.get('oauth_consumer_key'))
        token = self.tokens.get(field['oauth_token'])
        if not token or token.consumer != field['oauth_consumer_key']:
            raise Refusal(401, 'Unknown access token (%s).' % field['oauth_token'])
        if token.expired:
            raise Refusal(401, 'Expired token (%s).' % token.key)
        if field.get('oauth_signature_method') != 'PLAINTEXT':
            raise Refusal(400, 'Only PLAINTEXT signature method is supported.')
        if field.get('oauth_signature') != '&' + token.secret:
            raise Refusal(401, 'Invalid signature.')
        if token.permission.startswith('READ_') and request.method != 'GET':
            raise Refusal(401, 'The token of %s may only read.' % token.person.name)
        return token.person

    # --- /+request-token, /+authorize-token, /+access-token

    def dance(self, request):
        form = {name: values[-1] for name, values in urllib.parse.parse_qs(request.body.decode('utf-8', 'replace')).items()}
        consumer = form.get('oauth_consumer_key')
        if request.method != 'POST' or not consumer:
            raise Refusal(401, 'No consumer key.')
        if form.get('oauth_signature_method') != 'PLAINTEXT':
            raise Refusal(400, 'Only PLAINTEXT signature method is supported.')
        if request.path == '/+request-token':
            if form.get('oauth_signature') != '&':
                raise Refusal(401, 'Invalid signature.')
            token = Token(consumer, None, None)
            self.requests[token.key] = token
        else:
            token = self.exchange(consumer, form)
        found = {'oauth_token': token.key, 'oauth_token_secret': token.secret, 'lp.context': 'None'}
        if 'application/json' in request.headers.get('Accept', ''):
            return json.dumps({'oauth_token_consumer': consumer, **found}).encode(), 'application/json'
        return urllib.parse.urlencode(found).encode(), 'text/plain'

    def exchange(self, consumer, form):
        asked = self.requests.get(form.get('oauth_token'))
        if not asked or asked.consumer != consumer or time.monotonic() - asked.made > REQUEST_TOKEN_LIFE:
            raise Refusal(401, 'No request token specified.')
        if form.get('oauth_signature') != '&' + asked.secret:
            raise Refusal(401, 'Invalid signature.')
        if asked.state == 'new':
            raise Refusal(401, 'Request token has not yet been reviewed. Try again later.')
        if asked.state == 'declined':
            raise Refusal(403, 'End-user refused to authorize request token.')
        del self.requests[asked.key]
        return self.new(asked.person, asked.permission, consumer)

    def review(self, key, person, permission):
        """What the person's browser does on /+authorize-token; permission None: declined."""
        asked = self.requests.get(key)
        if not asked or asked.state != 'new':
            raise Refusal(400, 'no such request token')
        asked.state, asked.person, asked.permission = 'reviewed' if permission else 'declined', person, permission
