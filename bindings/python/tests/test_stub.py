"""cfgstore.pyi says what the module has."""

import ast
import inspect
import os
import unittest

import cfgstore

STUB = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "cfgstore.pyi")
# What every class has anyway.
INHERITED = set(dir(object)) | {"__weakref__", "__dict__", "__new__"}


def parameters(function):
    """Names of a function's positional and keyword-only parameters, each with whether it may be left out."""
    if isinstance(function, ast.FunctionDef):
        positional = function.args.posonlyargs + function.args.args
        required = len(positional) - len(function.args.defaults)
        named = [(arg.arg, index >= required) for index, arg in enumerate(positional)]
        keyword = zip(function.args.kwonlyargs, function.args.kw_defaults)
        # A parameter that only some overloads have may be left out.
        overloads = getattr(function, "overloads", [function])
        always = set.intersection(*({arg.arg for arg in overload.args.args} for overload in overloads))
        named = [(name, optional or name not in always) for name, optional in named]
        return named, [(arg.arg, default is not None) for arg, default in keyword]
    signature = inspect.signature(function).parameters.values()
    empty = inspect.Parameter.empty
    return (
        [(p.name, p.default is not empty) for p in signature if p.kind is not p.KEYWORD_ONLY],
        [(p.name, p.default is not empty) for p in signature if p.kind is p.KEYWORD_ONLY],
    )


def defined(body):
    """What a stub's body defines; of overloads the last, which knows them all."""
    found = {}
    for node in body:
        if isinstance(node, ast.FunctionDef):
            earlier = found.get(node.name)
            node.overloads = (earlier.overloads if earlier else []) + [node]
            found[node.name] = node
        elif isinstance(node, ast.ClassDef):
            found[node.name] = node
        elif isinstance(node, ast.AnnAssign):
            found[node.target.id] = node
    return found


class Stub(unittest.TestCase):
    def setUp(self):
        with open(STUB, encoding="utf-8") as stub:
            body = ast.parse(stub.read()).body
        self.stub = defined(body)
        self.all = [ast.literal_eval(node.value) for node in body if ast.unparse(node).startswith("__all__ =")][0]

    def test_it_has_what_the_module_has(self):
        public = {name for name in dir(cfgstore) if not name.startswith("_")} | {"__version__"}
        self.assertEqual(set(self.stub), public)
        self.assertEqual(sorted(self.all), sorted(cfgstore.__all__))

    def test_signatures_are_the_same(self):
        self.assertEqual(parameters(self.stub["open"]), parameters(cfgstore.open))
        for name, node in self.stub.items():
            if not isinstance(node, ast.ClassDef):
                continue
            real = getattr(cfgstore, name)
            bases = [ast.unparse(base) for base in node.bases]
            if issubclass(real, Exception):
                self.assertEqual(bases, [base.__name__ for base in real.__bases__], name)
                continue
            members = defined(node.body)
            own = set(vars(real)) - INHERITED - {"__doc__", "__module__", "__repr__"}
            self.assertEqual(set(members), own, name)
            for member, stub in members.items():
                with self.subTest(member=f"{name}.{member}"):
                    found = inspect.getattr_static(real, member)
                    is_property = any(ast.unparse(mark) == "property" for mark in stub.decorator_list)
                    self.assertEqual(is_property, inspect.isgetsetdescriptor(found))
                    if not is_property and not member.startswith("__"):
                        self.assertEqual(parameters(stub), parameters(found))
                    if not member.startswith("__"):
                        self.assertTrue(found.__doc__, "no docstring")

    def test_everything_is_documented(self):
        for name in self.stub:
            if not name.startswith("__"):
                self.assertTrue(inspect.getdoc(getattr(cfgstore, name)), name)
