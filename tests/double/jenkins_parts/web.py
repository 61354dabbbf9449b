"""HTTP on loopback, as the servlet container does it: authentication, sessions, crumbs, limits, faults, and all that was asked."""
import base64
import hashlib
import http.server
import re
import secrets
import socket
import ssl
import sys
import threading
import time
import traceback
import urllib.parse

from .model import ANONYMOUS, Refusal
from .rest import HTML, Answer

CHUNKED_FROM = 32768
REASONS = {204: 'No Content', 303: 'See Other', 409: 'Conflict', 422: 'Unprocessable Entity', 431: 'Request Header Fields Too Large'}


class Request:
    def __init__(self, handler, body):
        self.method, self.headers, self.body = handler.command, handler.headers, body
        self.world = handler.parts.world
        self.path, _, self.query_text = handler.path.partition('?')
        self.query = urllib.parse.parse_qs(self.query_text, keep_blank_values=True)
        scheme = self.headers.get('X-Forwarded-Proto') or ('https' if handler.parts.tls else 'http')
        self.address = '%s://%s%s' % (scheme, self.headers.get('X-Forwarded-Host') or self.headers.get('Host', ''), handler.parts.prefix)
        self.person, self.by_token, self.session, self.session_new, self.ignored = ANONYMOUS, False, None, False, []
        self.form = None
        self.size = len(handler.raw_requestline) + sum(len(name) + len(value) + 4 for name, value in self.headers.items()) + 2

    def fields(self):
        """The query's and the form's together. A form that is too large is not read, and no type but a form's is one."""
        if self.form is None:
            self.form = {name: list(values) for name, values in self.query.items()}
            kind = (self.headers.get('Content-Type') or '').split(';')[0].strip().lower()
            if self.method == 'POST' and kind == 'application/x-www-form-urlencoded':
                if len(self.body) > self.world.settings['form_limit']:
                    raise Refusal(400, 'Unable to parse form content', 'bare')
                for name, values in urllib.parse.parse_qs(self.body.decode('utf-8', 'strict'), keep_blank_values=True).items():
                    self.form.setdefault(name, []).extend(values)
            elif self.method == 'POST' and kind == 'multipart/form-data':
                raise Refusal(500, 'this double reads no multipart form')
        return self.form

    def one(self, name):
        return self.fields().get(name, [None])[0]

    def need_session(self):
        if not self.session:
            self.session = self.world.session(None)
            self.session_new = True
        return self.session


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    disable_nagle_algorithm = True
    server_version, sys_version = 'Jetty(12.0.25)', ''
    parts = None  # world, rest, control, builds, prefix, tls, cookie
    timeout = 60

    def log_message(self, *_):
        pass

    def setup(self):
        super().setup()
        with self.parts.world.lock:
            self.parts.open.add(self.connection)

    def finish(self):
        with self.parts.world.lock:
            self.parts.open.discard(self.connection)
        super().finish()

    def read_body(self):
        if 'chunked' in self.headers.get('Transfer-Encoding', '').lower():
            found = bytearray()
            while True:
                size = int(self.rfile.readline().split(b';')[0], 16)
                found += self.rfile.read(size)
                self.rfile.readline()
                if size == 0:
                    return bytes(found)
        return self.rfile.read(int(self.headers.get('Content-Length', 0)))

    def reply(self, answer, fault=None):
        body = answer.body
        self.send_response(answer.status, REASONS.get(answer.status))
        for name, value in answer.headers.items():
            self.send_header(name, value)
        chunked = len(body) >= CHUNKED_FROM and 'Content-Length' not in answer.headers
        if chunked:
            self.send_header('Transfer-Encoding', 'chunked')
        elif answer.status not in (204, 304) and 'Content-Length' not in answer.headers:
            self.send_header('Content-Length', str(len(body)))
        self.parts.control.traffic['bytes_out'] += sum(len(line) for line in self._headers_buffer) + 2 + len(body)
        self.end_headers()
        if self.command == 'HEAD' or answer.status in (204, 304):
            return
        if fault and fault.half:
            self.wfile.write(body[:len(body) // 2])
            return self.hang_up()
        pieces = [body[at:at + CHUNKED_FROM] for at in range(0, len(body), CHUNKED_FROM)]
        if fault and fault.trickle:
            pieces = [body[at:at + 1] for at in range(len(body))] if not chunked else pieces
        for piece in pieces:
            self.wfile.write(b'%x\r\n%s\r\n' % (len(piece), piece) if chunked else piece)
            if fault and fault.trickle:
                time.sleep(fault.trickle)
        if chunked:
            self.wfile.write(b'0\r\n\r\n')

    def hang_up(self):
        self.close_connection = True
        try:
            self.connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def serve(self):
        control, world = self.parts.control, self.parts.world
        try:
            request = Request(self, self.read_body())
        except ValueError:
            self.close_connection = True
            return self.reply(Answer(400))
        began, fault = time.time(), control.fault_for(request)
        if fault and fault.delay:
            time.sleep(fault.delay)
        if fault and not fault.after and (fault.status or fault.close or fault.hang):
            answer = fault.answer()
            if fault.late:
                threading.Timer(fault.late, self.answer_to, (request,)).start()
        else:
            answer = self.answer_to(request)
            if fault and fault.after and fault.status:
                answer = fault.answer()
        for pattern, text in fault.replace if fault else ():
            answer.body = re.sub(pattern.encode(), text.encode(), answer.body)
        with world.lock:
            control.note(request, answer, began)
        if fault and fault.hang:
            time.sleep(fault.hang)
        if fault and (fault.close or fault.hang):
            return self.hang_up()
        return self.reply(answer, fault)

    # --- the way to the part that answers

    def answer_to(self, request):
        world, rest = self.parts.world, self.parts.rest
        with world.lock:
            try:
                self.limits(request)
                if time.time() < world.starting_until:
                    raise Refusal(503, 'Jenkins is getting ready to work', headers={'Retry-After': '5'})
                self.strip_prefix(request)
                self.authenticate(request)
                if request.method == 'POST' and world.settings['crumbs'] and not request.by_token:
                    self.check_crumb(request)
                answer = rest.serve(request)
            except Refusal as refusal:
                answer = self.error_page(refusal)
            except Exception:  # a real one shows a page for what it did not expect; a test must see it
                traceback.print_exc()
                answer = self.error_page(Refusal(500, 'the double is wrong: %s' % traceback.format_exc()))
            if request.session_new:
                answer.headers['Set-Cookie'] = '%s=%s; Path=%s; HttpOnly' % (self.parts.cookie, request.session.id, self.parts.prefix or '/')
                answer.headers['Expires'] = 'Thu, 01 Jan 1970 00:00:00 GMT'
        answer.headers.setdefault('X-Content-Type-Options', 'nosniff')
        return answer

    def error_page(self, refusal):
        if refusal.how == 'bare':
            text = '<html><head><title>Error %d %s</title></head><body><h2>HTTP ERROR %d %s</h2></body></html>' % (
                refusal.status, refusal.text, refusal.status, refusal.text)
            answer = Answer(refusal.status, text.encode(), HTML)
        else:
            answer = self.parts.rest.page(refusal.text.replace('<', '&lt;'), refusal.status)
        answer.headers.update(refusal.headers)
        return answer

    def limits(self, request):
        if request.size > request.world.settings['header_limit']:
            raise Refusal(414 if len(self.raw_requestline) > request.world.settings['header_limit'] else 431, 'URI Too Long', 'bare')
        if request.method not in ('GET', 'HEAD', 'POST', 'DELETE'):
            raise Refusal(405, 'Method Not Allowed', 'bare')

    def strip_prefix(self, request):
        prefix = self.parts.prefix
        if prefix and not request.path.startswith(prefix + '/'):
            raise Refusal(404, 'Not Found', 'bare')
        request.path = request.path[len(prefix):]

    def authenticate(self, request):
        world = request.world
        for part in request.headers.get('Cookie', '').split(';'):
            name, _, value = part.strip().partition('=')
            if name == self.parts.cookie:
                request.session = world.sessions.get(value)
        given = request.headers.get('Authorization')
        if not given:
            return
        kind, _, text = given.partition(' ')
        if kind.lower() != 'basic':
            return
        try:
            name, _, password = base64.b64decode(text, validate=True).decode().partition(':')
        except ValueError:
            name = password = ''
        person = world.people.get(name)
        if person and password in person.tokens:
            request.person, request.by_token = person, True
        elif person and secrets.compare_digest(password.encode(), person.password.encode()):
            request.person = person
        else:
            raise Refusal(401, 'Invalid password/token for user: %s' % name, 'bare', {'WWW-Authenticate': 'Basic realm="Jenkins"'})

    def check_crumb(self, request):
        given = request.headers.get('Jenkins-Crumb')
        if given is None:
            given = request.one('Jenkins-Crumb')
        world = request.world
        if given is None or not request.session or not secrets.compare_digest(given.encode(), world.crumb(request.person, request.session).encode()):
            raise Refusal(403, 'No valid crumb was included in the request', 'bare')

    do_GET = do_POST = do_HEAD = do_DELETE = do_PUT = do_PATCH = do_OPTIONS = serve


class Server(http.server.ThreadingHTTPServer):
    daemon_threads, allow_reuse_address, request_queue_size = True, True, 128

    def use_tls(self, certificate, key):
        """The handshake is each connection's own: it is done by its thread, at its first byte."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)

    def handle_error(self, request, client_address):
        """A client that went away is none of ours; anything else is a mistake that a test must see."""
        if not isinstance(sys.exc_info()[1], (ConnectionError, TimeoutError, ssl.SSLError, ValueError)):
            super().handle_error(request, client_address)


class Front:
    """The listener, which a restart closes: who connects meanwhile is refused, and open connections end."""
    def __init__(self, parts, port, tls):
        self.parts, self.port, self.tls, self.server = parts, port, tls, None
        parts.cookie = 'JSESSIONID.' + hashlib.sha256(secrets.token_bytes(8)).hexdigest()[:8]

    def open(self):
        self.server = Server(('127.0.0.1', self.port), type('Bound', (Handler,), {'parts': self.parts}))
        self.port = self.server.server_address[1]
        if self.tls:
            self.server.use_tls(*self.tls)
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        with self.parts.world.lock:
            connections, self.parts.open = list(self.parts.open), set()
        for connection in connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
