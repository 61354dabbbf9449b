"""HTTP on loopback: which part answers which path, faults, and the list of all that was asked."""
import http.server
import json
import socket
import ssl
import sys
import time
import urllib.parse

from .model import Refusal

BODY_MAXIMUM = 256 * 1024 * 1024


class Request:
    def __init__(self, method, target, headers, body):
        self.method, self.headers, self.body = method, headers, body
        path, _, self.query = target.partition('?')
        self.path = urllib.parse.unquote(path)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    disable_nagle_algorithm = True
    server_version, sys_version = 'zope.server.http', ''
    parts = None  # control, rest, auth, git, world

    def log_message(self, *_):
        pass

    def chunks(self):
        """A body of no stated length, as git sends a large pack."""
        found = bytearray()
        while True:
            size = int(self.rfile.readline().split(b';')[0], 16)
            found += self.rfile.read(size)
            self.rfile.readline()
            if size == 0:
                return bytes(found)
            if len(found) > BODY_MAXIMUM:
                raise ValueError('too large')

    def read_body(self):
        if self.headers.get('Transfer-Encoding', '').lower() == 'chunked':
            return self.chunks()
        length = int(self.headers.get('Content-Length', 0))
        if length > BODY_MAXIMUM:
            raise ValueError('too large')
        return self.rfile.read(length)

    def reply(self, status, headers, body):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if status != 304:
            self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        if self.command != 'HEAD' and status != 304:
            self.wfile.write(body)

    def hang_up(self):
        """The connection ends without an answer."""
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def serve(self):
        control = self.parts.control
        try:
            request = Request(self.command, self.path, self.headers, self.read_body())
        except ValueError:
            self.close_connection = True
            return self.reply(400, {'Content-Type': 'text/plain'}, b'')
        if request.path.startswith('/control/'):
            return self.reply(*self.controlled(request))
        fault, person = control.fault_for(request), None
        if fault and fault.delay:
            time.sleep(fault.delay)
        if fault and not fault.after and (fault.status or fault.close):
            answer = fault.answer()
            if fault.late in ('next', 'asked'):
                with control.turn:
                    control.late.append((fault, lambda: self.routed(request)))
            elif fault.late:
                self.parts.world.timeline.after(fault.late, self.routed, request)
        else:
            answer, person = self.routed(request)
            for act in control.taken_now(request):
                act()
        control.note(request, person, answer[0])
        if fault and fault.close:
            return self.hang_up()
        if fault and fault.after and fault.status:
            answer = fault.answer()
        return self.reply(*answer)

    def controlled(self, request):
        try:
            status, found = 200, self.parts.control.serve(request)
        except Refusal as refusal:
            status, found = refusal.status, {'error': refusal.text}
        return status, {'Content-Type': 'application/json'}, json.dumps(found).encode()

    def keys_of(self, path):
        with self.parts.world.lock:
            return '\r\n\n'.join(self.parts.world.person(path.split('/')[1].removeprefix('~')).sshkeys).encode()

    def routed(self, request):
        person, headers = None, {'Content-Type': 'text/plain; charset=utf-8'}
        try:
            if request.path in ('/+request-token', '/+access-token'):
                body, kind = self.parts.auth.dance(request)
                return (200, {'Content-Type': kind}, body), None
            if request.path.endswith('/+sshkeys'):
                return (200, headers, self.keys_of(request.path)), None
            if request.path.split('/')[1] in ('devel', '1.0', 'beta'):
                with self.parts.world.lock:
                    person = self.parts.auth.person_of(request)
                    found = self.parts.rest.serve(request, person)
                return (found.status, found.headers, found.body), person
            person = self.parts.git.person_of(request.headers.get('Authorization'), self.parts.auth.personal)
            return self.parts.git.serve(request, person), person
        except Refusal as refusal:
            if refusal.status == 401:
                git = request.path.split('/')[1] not in ('devel', '1.0', 'beta') and not request.path.startswith('/+')
                headers['WWW-Authenticate'] = 'Basic realm="turnip"' if git else 'OAuth realm="https://api.launchpad.net"'
            if refusal.status >= 500:
                headers['X-Lazr-OopsId'] = 'OOPS-double'
            return (refusal.status, headers, refusal.text.encode()), person

    do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = do_HEAD = serve


class Server(http.server.ThreadingHTTPServer):
    daemon_threads, allow_reuse_address, request_queue_size = True, True, 128

    def use_tls(self, certificate, key):
        """The handshake is each connection's own: it is done by its thread, at its first byte."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)

    def handle_error(self, request, client_address):
        """A client that went away is none of ours; anything else is a mistake that a test must see."""
        if not isinstance(sys.exc_info()[1], (ConnectionError, TimeoutError)):
            super().handle_error(request, client_address)
