"""What is told as JSON, and the `tree` and `depth` that choose from it: stapler's export of beans."""
import json
import re

from .model import oops


class Bean:
    """An exported object: its class, and its properties, each (how deep it is told by depth=0, a function that makes it)."""
    def __init__(self, kind, near, deep=None, always=('number', 'url', 'name')):
        self.kind, self.near, self.deep, self.always = kind, near, deep or {}, always


class Each:
    """A list whose beans are made when they are told."""
    def __init__(self, given, make):
        self.given, self.make = given, make


class Tree:
    """builds[number,result]{0,50},name: the properties that are asked for, each with its own tree and range."""
    TOKEN = re.compile(r'\s*([A-Za-z_][A-Za-z0-9_]*|\*|[\[\],{}]|\d+)')

    def __init__(self, text):
        self.tokens, at = [], 0
        while at < len(text):
            found = self.TOKEN.match(text, at)
            if not found:
                raise oops('Malformed tree expression: %s' % text)
            self.tokens.append(found.group(1))
            at = found.end()
        self.text, self.at = text, 0
        self.names = self.parse()
        if self.at < len(self.tokens):
            raise oops('Malformed tree expression: %s' % text)

    def take(self, *wanted):
        if self.at < len(self.tokens) and self.tokens[self.at] in wanted:
            self.at += 1
            return True
        return False

    def need(self, token):
        if not self.take(token):
            raise oops('Malformed tree expression: %s' % self.text)

    def parse(self):
        names = {}
        while True:
            if self.at >= len(self.tokens) or not re.match(r'[A-Za-z_*]', self.tokens[self.at]):
                raise oops('Malformed tree expression: %s' % self.text)
            name = self.tokens[self.at]
            self.at += 1
            below = {}
            if self.take('['):
                below = self.parse()
                self.need(']')
            names[name] = (below, self.range() if self.take('{') else None)
            if not self.take(','):
                return names

    def range(self):
        """{M,N} is from M up to but not N; {M} is one; either may be missing."""
        first = self.number()
        if self.take(','):
            last = self.number()
        else:
            last = None if first is None else first + 1
        self.need('}')
        return first or 0, last

    def number(self):
        if self.at < len(self.tokens) and self.tokens[self.at].isdigit():
            self.at += 1
            return int(self.tokens[self.at - 1])
        return None


def by_tree(value, names, span=None):
    if isinstance(value, Bean):
        found = {'_class': value.kind} if value.kind else {}
        for name, make in {**value.near, **value.deep}.items():
            chosen = names.get(name, names.get('*') if name in value.near else None)
            if chosen is not None:
                found[name] = by_tree(make(), *chosen)
        return found
    if isinstance(value, Each):
        return [by_tree(value.make(each), names) for each in (value.given[span[0]:span[1]] if span else value.given)]
    if isinstance(value, list):
        return [by_tree(each, names) for each in (value[span[0]:span[1]] if span else value)]
    return value


def by_depth(value, depth):
    if isinstance(value, Bean):
        found = {'_class': value.kind} if value.kind else {}
        for name, make in value.near.items():
            if depth >= 0 or name in value.always:
                found[name] = by_depth(make(), depth - 1)
        return found
    if isinstance(value, Each):
        return [by_depth(value.make(each), depth) for each in value.given]
    if isinstance(value, list):
        return [by_depth(each, depth) for each in value]
    return value


def export(bean, query):
    """The bytes for a request with these fields."""
    if query.get('tree'):
        found = by_tree(bean, Tree(query['tree'][0]).names)
    else:
        found = by_depth(bean, int(query.get('depth', ['0'])[0] or 0))
    return json.dumps(found, separators=(',', ':'), ensure_ascii=False).encode()
