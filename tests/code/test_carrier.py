from __future__ import annotations

import importlib
import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from xpm_nb.code.carrier import script
from xpm_nb.errors import CarrierError

REPOSITORY = Path(__file__).resolve().parents[2]

# Each case: the cells, and what `Learn().execute()` gives in the job.
CARRIED = {
    "a method": (["class Learn:\n  def execute(self): return 1"], 1),
    "helpers of several cells": (
        [
            "def one(): return 1",
            "def two():\n  return one() + 1",
            "class Learn:\n  def execute(self): return two()",
        ],
        2,
    ),
    "a helper defined later": (
        ["class Learn:\n  def execute(self): return late()", "def late(): return 'late'"],
        "late",
    ),
    "imports": (
        [
            "import os, json as j\nfrom math import sqrt as root, pi",
            "class Learn:\n  def execute(self): return j.dumps(root(4))",
        ],
        "2.0",
    ),
    "a dotted import": (
        [
            "import xml.dom\nimport xml.sax",
            "class Learn:\n  def execute(self): return xml.dom.__name__, xml.sax.__name__",
        ],
        ("xml.dom", "xml.sax"),
    ),
    "a star import": (
        ["from math import *", "class Learn:\n  def execute(self): return sqrt(9)"],
        3.0,
    ),
    "an import inside a function": (
        ["class Learn:\n  def execute(self):\n    import math\n    return math.floor(1.5)"],
        1,
    ),
    "a dynamic import": (
        [
            "import importlib",
            "class Learn:\n  def execute(self): return importlib.import_module('math').pi > 3",
        ],
        True,
    ),
    "constants": (
        [
            "A, B = 1, -2.5\nC = {'x': [1, (2, 3)], 'y': {4}}\nD: float = float('inf')\nE = F = 60 * 60",
            "class Learn:\n  def execute(self): return A, B, C, D, E, F",
        ],
        (1, -2.5, {"x": [1, (2, 3)], "y": {4}}, float("inf"), 3600, 3600),
    ),
    "plain computations": (
        [
            "N = 3\nSIZES = [2 ** i for i in range(N)]\nNAMES = 'a b'.split()\nTEXT = f'{N}!'",
            "class Learn:\n  def execute(self): return SIZES, NAMES, TEXT",
        ],
        ([1, 2, 4], ["a", "b"], "3!"),
    ),
    "a path, a pattern, a logger, a lock": (
        [
            "import logging, re, threading\nfrom pathlib import Path",
            "ROOT = Path('data')\nSUB = ROOT / 'x'\nRX = re.compile('a+')\nlog = logging.getLogger(__name__)\nLOCK = threading.Lock()",
            "class Learn:\n  def execute(self):\n    with LOCK:\n      return str(SUB), RX.match('aab').group(), log.name",
        ],
        ("data/x", "aa", "__main__"),
    ),
    "a lambda": (
        ["double = lambda x: 2 * x", "class Learn:\n  def execute(self): return double(2)"],
        4,
    ),
    "a table of functions": (
        [
            "def f(): return 1",
            "OPS = {'f': f, 'g': lambda: 2}",
            "class Learn:\n  def execute(self): return OPS['f']() + OPS['g']()",
        ],
        3,
    ),
    "an alias": (
        [
            "def f(): return 1",
            "g = f\nclass A: v = 2\nB = A",
            "class Learn:\n  def execute(self): return g() + B.v",
        ],
        3,
    ),
    "bases and super": (
        [
            "class Base:\n  def execute(self): return ['base']",
            "class Mixin:\n  def execute(self): return super().execute() + ['mixin']",
            "class Learn(Mixin, Base):\n  def execute(self): return super().execute() + ['learn']",
        ],
        ["base", "mixin", "learn"],
    ),
    "a metaclass": (
        [
            "class Meta(type):\n  def __new__(m, n, b, d): return super().__new__(m, n, b, {**d, 'extra': 5})",
            "class Learn(metaclass=Meta):\n  def execute(self): return self.extra",
        ],
        5,
    ),
    "a decorated method and function": (
        [
            "import functools\ndef twice(f):\n  @functools.wraps(f)\n  def inner(*a): return 2 * f(*a)\n  return inner",
            "@twice\ndef three(): return 3\n@functools.lru_cache\ndef four(): return 4",
            "class Learn:\n  @twice\n  def execute(self): return three() + four()",
        ],
        20,
    ),
    "a decorator that takes arguments, without wraps": (
        [
            "def add(n):\n  def deco(f):\n    return lambda *a: f(*a) + n\n  return deco",
            "N = 10\n@add(N)\ndef one(): return 1",
            "class Learn:\n  def execute(self): return one()",
        ],
        11,
    ),
    "a decorated class": (
        [
            "from dataclasses import dataclass, field",
            "@dataclass\nclass Point:\n  x: int = 1\n  y: list = field(default_factory=list)",
            "class Learn:\n  def execute(self): return Point(2)",
        ],
        None,
    ),
    "enum, named tuple, typed dict, protocol without methods": (
        [
            "import enum\nfrom collections import namedtuple\nfrom typing import NamedTuple, Protocol, TypedDict",
            "class Color(enum.Enum):\n  RED = 1\n  BLUE = enum.auto()",
            "class P(NamedTuple):\n  x: int\n  y: int = 2",
            "class D(TypedDict):\n  a: int\nclass Named(Protocol):\n  name: str",
            "Q = namedtuple('Q', 'a b')\nSize = enum.Enum('Size', 'S M')",
            "class Learn:\n  def execute(self, d: D = None, n: Named = None):\n    return Color.BLUE.value, P(1).y, Q(1, 2)._fields, Size.M.name",
        ],
        (2, 2, ("a", "b"), "M"),
    ),
    "type variables and generics": (
        [
            "from typing import Generic, NewType, TypeVar\nT = TypeVar('T')\nUser = NewType('User', int)",
            "class Box(Generic[T]):\n  def get(self): return T.__name__\nPairs = list[tuple[User, T]]",
            "class Learn(Box[int]):\n  pairs: 'Pairs'\n  def execute(self): return self.get(), User(3)",
        ],
        ("T", 3),
    ),
    "a string annotation of another cell's class": (
        [
            "class Model: pass",
            "import typing\nclass Learn:\n  model: list['Model']\n  def execute(self): return typing.get_type_hints(type(self), globals())['model'].__args__[0].__name__",
        ],
        "Model",
    ),
    "annotations of the future": (
        [
            "from __future__ import annotations",
            "import typing\nclass Model: pass",
            "class Learn:\n  model: Model\n  other: Missing\n  def execute(self, x: Model = None): return type(self).__annotations__",
        ],
        {"model": "Model", "other": "Missing"},
    ),
    "decorators and branches after annotations of the future": (
        [
            "from __future__ import annotations\nimport contextlib, functools",
            "def twice(f):\n  @functools.wraps(f)\n  def inner(n: int): return 2 * f(n)\n  return inner",
            "@twice\ndef plus(n: int): return n + 1\n@functools.lru_cache\ndef less(n): return n - 1",
            "@contextlib.contextmanager\ndef around(): yield 3\nif True:\n  def same(n: int): return n",
            "class Learn:\n  def execute(self):\n    with around() as x: return plus(x), less(x), same(x)",
        ],
        (8, 2, 3),
    ),
    "class-level names hide globals": (
        [
            "n = object.__subclasses__()\nk = 2",
            "class Learn:\n  n = 3\n  m = n + k\n  def execute(self): return self.m",
        ],
        5,
    ),
    "attributes are not names": (
        [
            "model = open.__class__()if 0 else iter([])",
            "class Learn:\n  def execute(self): return getattr(self, 'x', None) or (self.model if 0 else 7)",
        ],
        7,
    ),
    "defaults and nested functions": (
        [
            "STEP = 2\ndef base(x=STEP): return x",
            "class Learn:\n  def execute(self, f=base):\n    def inner(y): return [f() + y + STEP for _ in range(2)]\n    return inner(1)",
        ],
        [5, 5],
    ),
    "try and if": (
        [
            "try:\n  import not_there_at_all as fast\n  HAS = True\nexcept ImportError:\n  import math as fast\n  HAS = False",
            "import sys\nif sys.platform == 'nowhere':\n  def where(): return 'nowhere'\nelse:\n  def where(): return 'here'",
            "class Learn:\n  def execute(self): return fast.__name__, HAS, where()",
        ],
        ("math", False, "here"),
    ),
    "lines for IPython beside definitions": (
        [
            "get_ipython = print\nget_ipython().system('ls') if 0 else None\nclass Learn:\n  def execute(self): return 1\nx = 3; print(x, end='')"
        ],
        1,
    ),
    "an async function and a generator": (
        [
            "async def f(): return 1\ndef g(): yield 2",
            "class Learn:\n  def execute(self):\n    import asyncio\n    return asyncio.run(f()), list(g())",
        ],
        (1, [2]),
    ),
    "statements sharing a line": (
        ["a = 1; b = 2; f = lambda: a + b", "class Learn:\n  def execute(self): return f()"],
        3,
    ),
    "methods that a base class wraps": (
        [
            "class Base:\n  def __init_subclass__(cls):\n    f = cls.execute\n"
            "    cls.execute = lambda self: 2 * f(self)",
            "class Learn(Base):\n  def execute(self): return 4",
        ],
        8,
    ),
    "a function with implementations per type": (
        [
            "import functools\n@functools.singledispatch\ndef show(x): return 'any'",
            "@show.register\ndef _(x: int): return 'int'",
            "@show.register(str)\ndef of_text(x): return 'str'",
            "class Learn:\n  def execute(self): return show(1), show('x'), show(None)",
        ],
        ("int", "str", "any"),
    ),
    "what was registered with a class": (
        [
            "class Known:\n  all = {}\n  @classmethod\n  def add(cls, f):\n"
            "    cls.all[f.__name__] = f\n    return f",
            "@Known.add\ndef one(): return two()",
            "def two(): return 2",
            "class Learn:\n  def execute(self): return Known.all['one']()",
        ],
        2,
    ),
    "subclasses that a base class gathers": (
        [
            "class Known:\n  all = []\n  def __init_subclass__(cls):\n    Known.all.append(cls)",
            "class One(Known): n = 1",
            "class Two(Known):\n  n = 2\n  def f(self): return 2",
            "class Learn:\n  def execute(self): return [cls.n for cls in Known.all]",
        ],
        [1, 2],
    ),
    "classes that are registered with each other": (
        [
            "class One:\n  all = []\n  @classmethod\n  def add(cls, other):\n"
            "    cls.all.append(other)\n    return other",
            "@One.add\nclass Two:\n  all = [One]\n  def f(self): return 2",
            "class Learn:\n  def execute(self): return One.all[0]().f(), len(One.all[0].all)",
        ],
        (2, 1),
    ),
    "methods that are static, class and properties": (
        [
            "def h(): return 1",
            "class Learn:\n  @staticmethod\n  def s(): return h()\n  @classmethod\n  def c(cls): return cls.s() + 1\n  @property\n  def p(self): return self.c() + 1\n  def execute(self): return self.p",
        ],
        3,
    ),
    "a function taken as a method": (
        ["def run(self): return 'run'", "class Learn:\n  execute = run"],
        "run",
    ),
    "a nested class": (
        [
            "class Learn:\n  class Options:\n    depth = 2\n  def execute(self): return self.Options.depth"
        ],
        2,
    ),
    "registering decorator": (
        [
            "def register(c):\n  c.registered = True\n  return c",
            "@register\nclass Learn:\n  def execute(self): return self.registered",
        ],
        True,
    ),
    "a context manager and a method in another guise": (
        [
            "import contextlib, functools\n@contextlib.contextmanager\ndef around(): yield 3",
            "class Learn:\n  f = staticmethod(lambda x: x + 1)\n"
            "  @functools.cached_property\n  def p(self): return self.f(1)\n"
            "  def execute(self):\n    with around() as three: return three, self.p",
        ],
        (3, 2),
    ),
    "a decorator that is a class": (
        [
            "class Keep:\n  def __init__(self, f): self.f = f\n  def __call__(self, *a): return self.f(*a)",
            "@Keep\ndef one(): return 1",
            "class Learn:\n  def execute(self): return one()",
        ],
        1,
    ),
    "abstract bases and slots": (
        [
            "import abc\nclass Base(abc.ABC):\n  @abc.abstractmethod\n  def execute(self): ...",
            "class Learn(Base):\n  __slots__ = ('x',)\n  def execute(self):\n    self.x = 1\n    return self.x",
        ],
        1,
    ),
    "comprehensions and f-strings at class level": (
        [
            "N = 2\nM = 3",
            "class Learn:\n  xs = [N + i for i in range(M)]\n  s = f'{N!r:>{M}}'\n  def execute(self): return self.xs, self.s",
        ],
        ([2, 3, 4], "  2"),
    ),
    "match, except and globals inside functions": (
        [
            "COUNT = 0\nclass Oops(Exception): pass",
            "def step(x):\n  match x:\n    case {'a': y}: return y\n    case _: raise Oops(x)",
            "class Learn:\n  def execute(self):\n    global COUNT\n    try: step(1)\n"
            "    except Oops as e: COUNT = step({'a': e.args[0]})\n    return 1 if COUNT else 0",
        ],
        1,
    ),
    "classes that know each other": (
        [
            "class A:\n  def other(self): return B()",
            "class B:\n  def other(self): return A()",
            "class Learn:\n  def execute(self): return type(A().other().other()).__name__",
        ],
        "A",
    ),
    "annotations inside functions are not read": (
        [
            "model = iter([])",
            "def f():\n  x: model = 1\n  return x",
            "class Learn:\n  def execute(self): return f()",
        ],
        1,
    ),
    "text that only looks like a name": (
        [
            "from typing import Literal\nmodel = iter([])",
            "class Learn:\n  kind: Literal['model'] = 'model'\n  other: 'model' = 1\n"
            "  table: dict = {'model': 2}['model']\n  def execute(self): return self.table",
        ],
        2,
    ),
    "letters of any language": (
        ["größe = 3", "class Learn:\n  def execute(self): return größe"],
        3,
    ),
    "a submodule under its own name": (
        [
            "import os.path as p\nfrom os import path",
            "class Learn:\n  def execute(self): return p is path",
        ],
        True,
    ),
    "a chain of helpers": (
        [
            "def f0(): return 0\n"
            + "".join(f"def f{i}(): return f{i - 1}() + 1\n" for i in range(1, 500)),
            "class Learn:\n  def execute(self): return f499()",
        ],
        499,
    ),
    "a starred target": (
        [
            "a, *rest, z = [1, 2, 3, 4]\n*most, last = 'xyz'",
            "class Learn:\n  def execute(self): return a, rest, z, most, last",
        ],
        (1, [2, 3], 4, ["x", "y"], "z"),
    ),
    "a choice by a flag, and a table read backwards": (
        [
            "FLAG = True\nN = 5 if FLAG else 10\nD = {'a': 1}\nE = {v: k for k, v in D.items()}",
            "class Learn:\n  def execute(self): return N, E",
        ],
        (5, {1: "a"}),
    ),
    "a field set by another name": (
        [
            "from dataclasses import dataclass\n@dataclass\nclass Cfg:\n  lr: float\n  n: int = 2",
            "CFG = Cfg(0.1)\nCFG.lr = 0.2",
            "other = CFG\nother.n = 10",
            "CFG.n += 1",
            "class Learn:\n  def execute(self): return CFG.lr, CFG.n",
        ],
        (0.2, 11),
    ),
    "both names of a list": (
        [
            "A = [1]",
            "B = A\nB.append(2)\nA.append(3)",
            "class Learn:\n  def execute(self):\n    B.append(4)\n    return A.pop(), A, B is A",
        ],
        (4, [1, 2, 3], True),
    ),
    "a default dict of a function": (
        [
            "from collections import defaultdict\nOFF = 3\nD = defaultdict(lambda: OFF, a=1)",
            "D['b'] = 2",
            "class Learn:\n  def execute(self): return D['a'], D['b'], D['c']",
        ],
        (1, 2, 3),
    ),
    "methods of plain values in comprehensions": (
        [
            "from dataclasses import dataclass\nfrom pathlib import Path\n@dataclass\nclass Cfg:\n  n: int",
            "COLS = ['a', 'b']\nMAP = {c: c.upper().split('x') for c in COLS if c.isalpha()}\n"
            "ALL = [Cfg(n) for n in (1, 2)]\nNS = [c.n + 1 for c in ALL]\n"
            "STEMS = sorted({p.with_suffix('.z').name for p in [Path('d/a.x')]})",
            "class Learn:\n  def execute(self): return MAP, NS, STEMS",
        ],
        ({"a": ["A"], "b": ["B"]}, [2, 3], ["a.z"]),
    ),
    "data that is completed once it is made": (
        [
            "from dataclasses import InitVar, dataclass, field\nSTEP = 10",
            "@dataclass\nclass Cfg:\n  lr: float = 0.1\n  n: int = 2\n  sizes: list = field(default_factory=list)\n"
            "  more: InitVar[int] = 0\n  total: int = field(init=False)\n"
            "  def __post_init__(self, more):\n    'Completes it.'\n    if self.n < 0: raise ValueError('n')\n"
            "    assert self.lr > 0, 'lr'\n    self.n += STEP\n    for k in range(more): self.sizes.append(k)\n"
            "    self.total = len(self.sizes)",
            "@dataclass(frozen=True)\nclass Frozen:\n  x: int\n  def __post_init__(self):\n"
            "    object.__setattr__(self, 'x', self.x * 2)",
            "A, B = Cfg(lr=0.2), [Cfg(0.3, more=2), Frozen(4)]",
            "class Learn:\n  def execute(self): return A.n, A.lr, B[0].sizes, B[0].total, B[1].x",
        ],
        (12, 0.2, [0, 1], 2, 8),
    ),
    "instances of classes of cells": (
        [
            "class Base:\n  def __init__(self, name, every=1):\n    self.name, self.every = name.strip(), every\n"
            "  def on(self, e): return None",
            "DEFAULT = 2",
            "class Log(Base):\n  def __init__(self, every=DEFAULT, *, tags=()):\n    super().__init__(' log ', every=every)\n"
            "    self.seen = []\n    self.tags = list(tags)\n    if self.tags: self.first = self.tags[0].upper()\n"
            "  def on(self, e):\n    if e % self.every == 0: self.seen.append(e)\n    return self.seen",
            "class Empty: pass",
            "CALLBACKS = [Log(), Log(every=3, tags=('a', 'b')), Base('x'), Empty()]",
            "class Trainer:\n  def __init__(self, log): self.log = log",
            "TRAINER = Trainer(Log(5))",
            "class Learn:\n  def execute(self):\n    return [(c.name, c.on(6)) for c in CALLBACKS[:3]], CALLBACKS[1].first, TRAINER.log.every",
        ],
        ([("log", [6]), ("log", [6]), ("x", None)], "A", 5),
    ),
    "instances with private names": (
        [
            "class _Base:\n  def __init__(self, n): self.__n = n\n  def base(self): return self.__n",
            "class Log(_Base):\n  def __init__(self, __k=2):\n    super().__init__(__k + 1)\n"
            "    self.__n = __k\n    self.__n__ = 4\n  def all(self): return self.base(), self.__n, self.__n__",
            "LOG = Log()",
            "class Learn:\n  def execute(self): return LOG.all()",
        ],
        (3, 2, 4),
    ),
    "instances that are added": (
        [
            "from dataclasses import dataclass, replace\nclass Log:\n  def __init__(self, n=0): self.n = n",
            "@dataclass\nclass Cfg:\n  a: int\n  b: int = 0\n  def __post_init__(self): self.b += 1",
            "LOGS = [Log()]\nBASE = Cfg(1)\nMORE = replace(BASE, a=5)",
            "for k in range(2): LOGS.append(k)",
            "LOGS.append(Log(7))",
            "class Learn:\n  def execute(self): return [getattr(l, 'n', l) for l in LOGS], MORE.a, MORE.b",
        ],
        ([0, 0, 1, 7], 5, 2),
    ),
    "arrays": (
        [
            "import numpy as np\nN = 3",
            "BINS = np.linspace(0, 1, N)\nA = np.arange(N, dtype=np.float32) * 2 + BINS\n"
            "E = {'eye': np.eye(2)[0], 'list': np.array([[1, 2], [3, 4]])}\nF = BINS[1:]",
            "class Learn:\n  def execute(self): return BINS.tolist(), A.tolist(), E['list'].tolist(), F.tolist()",
        ],
        ([0.0, 0.5, 1.0], [0.0, 2.5, 5.0], [[1, 2], [3, 4]], [0.5, 1.0]),
    ),
    "random numbers of a seed": (
        [
            "import random, numpy as np\nSEED = 3",
            "rng = random.Random(SEED)\nGEN = np.random.default_rng(SEED)\nOLD = np.random.RandomState(1)",
            "class Learn:\n  def execute(self): return rng.random(), GEN.random(), OLD.rand()",
        ],
        None,
    ),
    "names of modules that nobody imports": (
        ["class Learn:\n  def execute(self): return __name__"],
        "__main__",
    ),
}


@pytest.mark.parametrize("case", CARRIED)
def test_what_can_be_carried_does_the_same(notebook, case, capsys):
    cells, wanted = CARRIED[case]
    for text in cells:
        notebook.cell(text)
    job = notebook.job("Learn")
    result = job["Learn"]().execute()
    live = notebook["Learn"]().execute()
    if wanted is None:
        assert repr(result) == repr(live)
    else:
        assert result == wanted == live


LEARN = "class Learn:\n  def execute(self): return model"

# Each case: the cells, and what the message has to say.
REFUSED = {
    "a computed value": (
        ["import random", "model = [random.random()]", LEARN],
        [
            "Learn",
            "In[3], line 2",
            "`model`",
            "In[2], line 1",
            "random.random()",
            "Param",
            "function",
        ],
    ),
    "a value that changed": (
        ["model = 3", LEARN, "globals()['model'] = 4"],
        ["In[1], line 1 sets to 3", "4 now"],
    ),
    "a list that grew in a loop": (
        ["model = []", "def grow(): model.extend([0, 1])\ngrow()", LEARN],
        ["In[1]", "sets to []", "[0, 1] now"],
    ),
    "a number that became a truth value": (
        ["model = 1", "globals()['model'] = True", LEARN],
        ["True now"],
    ),
    "a counter": (
        ["model = 0", "model += 1", "model += 1 ", LEARN],
        ["In[3], line 1 computes", "model += 1"],
    ),
    "an open file": (
        ["import os\nmodel = open(os.devnull)", LEARN, "model.close()"],
        ["In[1], line 2", "open("],
    ),
    "an instance that computes": (
        [
            "import random\nclass Model:\n  def __init__(self): self.x = random.random()",
            "model = Model()",
            LEARN,
        ],
        ["In[2]", "Model()", "Param of Learn"],
    ),
    "an attribute of an instance": (
        ["class Model: size = 3", "m = Model()\nmodel = m.size", LEARN],
        ["In[2], line 2", "m.size"],
    ),
    "a closure": (
        ["def make(n):\n  return lambda: n", "model = make(7)", LEARN],
        ["In[2], line 1", "make(7)", "Param"],
    ),
    "a class made by a function": (
        [
            "def make(n):\n  class Inner:\n    def f(self): return n\n  return Inner",
            "model = make(7)",
            LEARN,
        ],
        ["make.<locals>.Inner", "`model`", "In[3], line 2"],
    ),
    "a loop": (["for model in range(3): pass", LEARN], ["In[1], line 1", "for model in"]),
    "a with statement": (
        ["import contextlib\nwith contextlib.nullcontext(3) as model: pass", LEARN],
        ["In[1], line 2"],
    ),
    "a test that has to run": (
        ["import os\nif os.getcwd():\n  model = 1\nelse:\n  model = 2", LEARN],
        ["In[1], line 2"],
    ),
    "an environment variable": (["import os\nmodel = os.environ['PATH']", LEARN], ["os.environ"]),
    "made by exec": (
        ["exec('def model(): return 1')", LEARN],
        ["`model`", "a function whose source is in no cell"],
    ),
    "set from outside": (["globals()['model'] = 1", LEARN], ["`model`", "no statement of a cell"]),
    "through a helper": (
        [
            "model = iter([])",
            "def helper(): return model",
            "class Learn:\n  def execute(self): return helper()",
        ],
        ["Learn", "In[2], line 1 uses `model`", "In[1]"],
    ),
    "by a default": (
        ["model = iter([])", "class Learn:\n  def execute(self, m=model): pass"],
        ["In[2], line 2", "`model`"],
    ),
    "in the class body": (
        ["model = iter([])", "class Learn:\n  m = model\n  def execute(self): pass"],
        ["`model`"],
    ),
    "a function with attributes": (
        ["def model(): pass", "def setup(): model.calls = 3\nsetup()", LEARN],
        ["attributes (calls)", "In[1], line 1"],
    ),
    "a decorator that hides": (
        ["def hide(f): return 5", "@hide\ndef model(): pass", LEARN],
        ["In[2], line 2", "decorator"],
    ),
    "an import that was undone": (
        ["import math as model", "globals()['model'] = 5", LEARN],
        ["import"],
    ),
    "a method replaced": (
        ["class Learn:\n  def execute(self): return 1", "Learn.execute = lambda self: 2"],
        ["Learn", "method execute was replaced", "In[1], line 1"],
    ),
    "a method wrapped": (
        [
            "class Learn:\n  def execute(self): return 1",
            "def twice(f): return lambda self: 2 * f(self)\nLearn.execute = twice(Learn.execute)",
        ],
        ["method execute was replaced"],
    ),
    "a function wrapped": (
        [
            "def model(): return 1",
            "def twice(f): return lambda: 2 * f()\nmodel = twice(model)",
            LEARN,
        ],
        ["`model`", "In[2], line 2 computes", "twice(model)"],
    ),
    "a decorated function wrapped": (
        [
            "def twice(f): return lambda: 2 * f()\n@twice\ndef model(): return 1",
            "model = twice(model)",
            LEARN,
        ],
        ["`model`", "In[2], line 1 computes", "twice(model)"],
    ),
    "a secret": (
        ["API_KEY = 'abcdefgh12'", "class Learn:\n  def execute(self): return API_KEY"],
        ["`API_KEY`, which looks like a secret", "environment"],
    ),
    "a secret by its value": (
        ["HUB = 'hf_abcdefghijklmnop'", "class Learn:\n  def execute(self): return HUB"],
        ["`HUB`, which looks like a secret", "environment"],
    ),
    "a default that has an older value": (
        [
            "N = 2",
            "def model(x=N, *, y='é'): return x",
            "N = 3",
            "class Learn:\n  def execute(self): return model()",
        ],
        ["`model`", "a default of model() (In[2], line 1) is 2, and would be 3", "Run In[2] again"],
    ),
    "a default of a method": (
        [
            "def f(): return 1",
            "class Learn:\n  def execute(self, *, g=f): return g()",
            "def f(): return 2",
        ],
        ["a default of execute() (In[2], line 1) is an earlier f()"],
    ),
    "a decorator that was defined anew": (
        [
            "def more(f): return lambda: f() + 1",
            "@more\ndef model(): return 1",
            "def more(f): return lambda: f() + 2",
            LEARN,
        ],
        ["model() (In[2], line 1) is wrapped by an earlier `more` (In[1], line 1)", "Run In[2]"],
    ),
    "a decorator that keeps the name, defined anew": (
        [
            "import functools",
            "def more(n):\n  def wrap(f):\n    @functools.wraps(f)\n    def w(): return f() + n\n"
            "    return w\n  return wrap",
            "@more(1)\ndef model(): return 1",
            "def more(n):\n  return lambda f: f",
            LEARN,
        ],
        ["model() (In[3], line 1) is wrapped by an earlier `more` (In[2], line 1)", "Run In[3]"],
    ),
    "a decorator of a method that was defined anew": (
        [
            "def more(f): return lambda self: f(self) + 1",
            "class Learn:\n  @more\n  def execute(self): return 1",
            "def more(f): return lambda self: f(self) + 2",
        ],
        ["execute() (In[2], line 1) is wrapped by an earlier `more` (In[1], line 1)"],
    ),
    "an attribute that has an older value": (
        ["N = 2", "class Learn:\n  n = N * 2\n  def execute(self): return self.n", "N = 3"],
        ["Learn.n (In[2], line 1) is 4, and would be 6"],
    ),
    "a field of an instance that another name was given to": (
        [
            "from dataclasses import dataclass\n@dataclass\nclass Cfg:\n  lr: float\n  n: int = 2",
            "model = [Cfg(0.1), Cfg(0.3)]",
            "def change(c): c.n = 10\nchange(model[1])",
            LEARN,
        ],
        ["`model[1].n` is 10 now, and would be 2 if it were made again", "run In[2] again"],
    ),
    "an instance that a function has changed": (
        [
            "class Log:\n  def __init__(self, n=0): self.n = n",
            "model = [Log(), Log(1)]",
            "def hit(): model[1].n = 5\nhit()",
            LEARN,
        ],
        ["`model[1].n` is 5 now, and would be 1 if it were made again", "run In[2] again"],
    ),
    "an instance of a former class in a list": (
        [
            "class Log:\n  def __init__(self, n=0): self.n = n",
            "model = [Log()]",
            "class Log:\n  def __init__(self, n=1): self.n = n",
            LEARN,
        ],
        ["but `model[0]` is of an earlier Log now", "run In[2] again"],
    ),
    "a table made of a list that has grown": (
        [
            "COLS = ['a']\nmodel = {c: c.upper() for c in COLS}",
            "COLS.append('b')",
            "class Learn:\n  def execute(self): return model, COLS",
        ],
        ["but is {'a': 'A'} now, and would be {'a': 'A', 'b': 'B'} if it", "run In[1] again"],
    ),
    "an instance of a former class": (
        [
            "class Log:\n  def __init__(self, n=0): self.n = n",
            "model = Log()",
            "class Log:\n  def __init__(self, n=1): self.n = n",
            LEARN,
        ],
        [
            "`model`, which In[2], line 1 sets to Log(), but is of an earlier Log now",
            "run In[2] again",
        ],
    ),
    "an instance that counts": (
        ["class Log:\n  n = 0\n  def __init__(self): Log.n += 1\nmodel = Log()", LEARN],
        ["In[1], line 4 computes while it runs: model = Log()"],
    ),
    "an instance whose class says how attributes are set": (
        [
            "class Log:\n  def __init__(self): self.n = 1\n  def __setattr__(self, n, v): vars(self)[n] = 2",
            "model = Log()",
            LEARN,
        ],
        ["In[2], line 1 computes while it runs: model = Log()"],
    ),
    "an instance with a property that is set": (
        [
            "class Log:\n  def __init__(self): self.n = 1\n  @property\n  def n(self): return 0\n"
            "  @n.setter\n  def n(self, v): pass",
            "model = Log()",
            LEARN,
        ],
        ["In[2], line 1 computes while it runs: model = Log()"],
    ),
    "an instance that calls": (
        [
            "class Log:\n  def __init__(self): self.f = self.g()\n  def g(self): pass",
            "model = Log()",
            LEARN,
        ],
        ["In[2], line 1 computes while it runs: model = Log()"],
    ),
    "a method of something that is not plain": (
        [
            "class Text:\n  def upper(self): return 1\nTEXTS = [Text()]",
            "model = [t.upper() for t in TEXTS]",
            LEARN,
        ],
        ["In[2], line 1 computes while it runs: model = [t.upper() for t in TEXTS]"],
    ),
    "random numbers without a seed": (
        ["import random", "model = random.Random()", LEARN],
        ["In[2], line 1 computes while it runs: model = random.Random()"],
    ),
    "a generator that was used": (
        ["import random", "model = random.Random(1)", "model.random()", LEARN],
        ["In[2], line 1 sets to random.Random(1), but is in another state now", "run In[2] again"],
    ),
    "an array that was changed": (
        [
            "import numpy as np",
            "model = np.zeros(3)",
            "def change(a): a[1] = 2\nchange(model)",
            LEARN,
        ],
        ["`model[1]` is 2.0 now, and would be 0.0 if it were made again", "run In[2] again"],
    ),
    "a large array": (
        ["import numpy as np", "model = np.zeros((1000, 1000))", LEARN],
        ["In[2], line 1 computes while it runs: model = np.zeros((1000, 1000))"],
    ),
    "the function of a default dict": (
        [
            "from collections import defaultdict\nf = lambda: 1\nmodel = defaultdict(f)",
            "f = lambda: 2",
            LEARN,
        ],
        ["`model.default_factory`, <lambda>, is another one now", "run In[1] again"],
    ),
    "what a partial holds": (
        ["from functools import partial\nK = 0\nmodel = partial(max, K, b=1)", "K = 5", LEARN],
        ["`model.args[0]` is 0 now, and would be 5 if it were made again", "run In[1] again"],
    ),
    "a function in a table": (
        ["f = lambda x: x\nmodel = {'a': f}", "f = lambda x: 2", LEARN],
        ["`model['a']`, <lambda>, is another one now", "run In[1] again"],
    ),
    "a table that functions fill": (
        [
            "model = {}\ndef put(name):\n  def deco(f):\n    model[name] = [f]\n    return f\n"
            "  return deco",
            "@put('a')\ndef f(): pass",
            LEARN,
        ],
        [
            "`model['a']` is there now, and would not be if it were made again",
            "or run In[1] again, and then the cells that fill it.",
        ],
    ),
    "a list of an older class": (
        ["class A: x = 1", "model = [A]", "class A: x = 2", LEARN],
        ["In[2], line 1 sets to [A]", "run In[2] again"],
    ),
    "a method added": (
        [
            "class Learn:\n  def execute(self): return self.more()",
            "def more(self): return 2\nLearn.more = more",
        ],
        ["method more was added"],
    ),
    "a constant of the class changed": (
        [
            "class Learn:\n  depth = 2\n  def execute(self): return self.depth",
            "def setup(): Learn.depth = 3\nsetup()",
        ],
        ["Learn.depth (In[1], line 1) is 3, and would be 2", "Run In[1] again"],
    ),
    "None in place of which there is something": (
        [
            "class Learn:\n  depth = None\n  def execute(self): return self.depth",
            "def setup(): Learn.depth = 3\nsetup()",
        ],
        ["Learn.depth (In[1], line 1) is 3, and would be None", "Run In[1] again"],
    ),
    "a list of the class changed in place": (
        [
            "class model:\n  sizes = [1]\n  def f(self): pass",
            "def grow(): model.sizes.append(2)\ngrow()",
            LEARN,
        ],
        ["`model`", "model.sizes (In[1], line 1) is [1, 2], and would be [1]"],
    ),
    "a value added to the class": (
        [
            "class Learn:\n  def execute(self): return self.depth",
            "def setup(): Learn.depth = (3, {'a': None})\nsetup()",
        ],
        ["Learn.depth was set to (3, {'a': None}) after In[1], line 1", "Set it in the class"],
    ),
    "a value added to a data class": (
        [
            "from dataclasses import dataclass",
            "@dataclass\nclass model:\n  x: int = None\n  def f(self): pass",
            "def setup(): model.depth = 3\nsetup()",
            LEARN,
        ],
        ["`model`", "model.depth was set to 3 after In[2], line 1"],
    ),
    "data of which a class above says how it is made": (
        [
            "from dataclasses import dataclass\n@dataclass\nclass A:\n  x: int = 1",
            "class B(A):\n  def __init__(self): self.x = 5\nclass C(B): pass",
            "model = C()",
            "model.x = 1",
            LEARN,
        ],
        ["`model`", "In[3], line 1 computes while it runs: model = C()"],
    ),
    "an instance that holds itself": (
        ["class Log:\n  def __init__(self): self.me = self\nmodel = Log()", LEARN],
        ["`model`", "In[1], line 3 computes while it runs: model = Log()"],
    ),
    "a list that holds itself": (
        ["model = []\nmodel.append(model)", LEARN],
        ["`model`", "In[1], line 2 changes while it runs: model.append(model)"],
    ),
    "an object that answers to any name": (
        [
            "class Any:\n  def __call__(self): return 1\n  def __getattr__(self, name): raise KeyError(name)",
            "model = Any()",
            LEARN,
        ],
        ["`model`", "In[2], line 1 computes while it runs: model = Any()"],
    ),
    "made by type()": (
        ["Learn = type('Learn', (), {'execute': lambda self: 1})"],
        ["Learn", "in no cell"],
    ),
    "made by exec entirely": (
        ["exec('class Learn:\\n  def execute(self): return 1')"],
        ["in no cell", "exec()"],
    ),
    "inside a function": (
        ["def f():\n  class Learn: pass\n  return Learn\nLearn = f()"],
        ["f.<locals>.Learn", "top level"],
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_carried_is_named(notebook, case):
    cells, words = REFUSED[case]
    for text in cells:
        notebook.cell(text)
    with pytest.raises(CarrierError) as caught:
        notebook.carry("Learn")
    assert [word for word in words if word not in str(caught.value)] == []


def test_the_message_reads_well(notebook):
    notebook.cell("import random\nmodel = random.random()").cell(LEARN)
    with pytest.raises(CarrierError) as caught:
        notebook.carry("Learn")
    assert str(caught.value) == (
        "Learn cannot be carried into a job: In[2], line 2 uses `model`, which In[1], line 2 computes "
        "while it runs: model = random.random(). A job starts in a process of its own: make `model` a "
        "Param of Learn, or move the computation into a function."
    )


def test_what_exists_only_in_a_kernel(notebook, monkeypatch):
    import builtins

    space = {"__name__": "IPython.core.display_functions"}
    exec("def show(value): pass", space)
    show = space["show"]
    monkeypatch.setattr(builtins, "display", show, raising=False)
    notebook.cell("class Learn:\n  def execute(self): display(self)")
    with pytest.raises(CarrierError, match=r"`display`, which exists only in a notebook's kernel"):
        notebook.carry("Learn")
    # IPython's own `open` stands before Python's in the namespace: that is Python's in a job.
    notebook.space["open"] = show
    notebook.cell("class Read:\n  def execute(self): return open")
    assert notebook.job("Read")["Read"]().execute() is open


# --- which version


LEARN_REG = "class Learn:\n  def execute(self): return {LOOK}"
REGISTERED = {
    "by a decorator": (
        ["REG = {}\ndef reg(f):\n  REG[f.__name__] = f\n  return f", "@reg\ndef f(): return 1", "@reg\ndef g(): return 2"],
        "[h() for h in REG.values()]",
        [1, 2],
    ),
    "by a decorator with arguments, into a list that was not empty": (
        ["REG = [len]\ndef reg(n):\n  def deco(f):\n    REG.append(f)\n    return f\n  return deco", "@reg(1)\ndef f(): return 1"],
        "[REG[0]('ab'), REG[1]()]",
        [2, 1],
    ),
    "by a decorator that wraps": (
        ["import functools\nREG = {}\ndef reg(name, scale=1):\n  def deco(f):\n    @functools.wraps(f)\n    def w(*a): return f(*a) * scale\n    REG[name] = w\n    return w\n  return deco", "@reg('a', scale=2)\ndef f(): return 1", "@reg('b')\ndef g(): return 5"],
        "{name: h() for name, h in REG.items()}",
        {"a": 2, "b": 5},
    ),
    "by the classes derived from one": (
        ["REG = set()\nclass Base:\n  def __init_subclass__(cls): REG.add(cls)", "class X(Base):\n  def f(self): return 3"],
        "[c().f() for c in REG]",
        [3],
    ),
    "by a decorator, under a name that is another's by now": (
        ["REG = {}\ndef reg(f):\n  REG[f.__name__] = f\n  return f", "@reg\ndef f(): return 1", "def f(): return 2"],
        "[REG['f'](), f()]",
        [1, 2],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REGISTERED)
def test_registries(notebook, case):
    cells, look, value = REGISTERED[case]
    for text in (*cells, LEARN_REG.format(LOOK=look)):
        notebook.cell(text)
    assert notebook["Learn"]().execute() == value
    assert notebook.job("Learn")["Learn"]().execute() == value


UNEXPLAINED = {
    "a decorator that has put in something else": (
        ["REG = {}\ndef reg(f):\n  REG[f.__name__] = [f]\n  return f", "@reg\ndef f(): return 1"],
        "REG",
        "`REG`, which In[1], line 1 sets to {}",
    ),
    "a function that somebody else has put in": (
        ["REG = []\ndef put(f): REG.append(f)", "def f(): return 1\nput(f)"],
        "REG",
        "`REG`, which In[1], line 1 sets to []",
    ),
    "the same statement in two cells": (
        ["REG = []", "def f(): return 1\nREG.append(f)", "REG.append(f)"],
        "len(REG)",
        "`REG`, which In[1], line 1 sets to []",
    ),
    "an attribute that was set, and set back": (
        ["class W:\n  def __init__(self, n): self.n = n", "class A:\n  def f(self): return self.w.n", "A.w = W(1)", "A.w = W(2)\nA.w = W(1)"],
        "A().f()",
        "changes A.w after In[2], line 1 had defined A",
    ),
    "a method that changes an attribute": (
        ["class W:\n  n = 1\n  def fill(self, n): self.n = n", "class A:\n  w = W()\n  def f(self): return self.w.n", "A.w.fill(2)"],
        "A().f()",
        "changes A.w after In[2], line 1 had defined A",
    ),
    "an element of what was computed": (
        ["import array", "class A:\n  w = array.array('i', [1])\n  def f(self): return self.w[0]", "A.w[0] = 2"],
        "A().f()",
        "changes A.w[…] after In[2], line 1 had defined A",
    ),
    "what a decorator calls": (
        ["def name(f): return f.__name__\ndef deco(f):\n  label = name(f)\n  return lambda: (label, f())", "@deco\ndef g(): pass", "def name(f): return 'other'"],
        "g()",
        "In[2], line 1 was executed with the `name` of In[1], line 1, and a job would execute it with that of In[3], line 1",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", UNEXPLAINED)
def test_what_the_job_would_have_otherwise_is_refused(notebook, case):
    cells, look, words = UNEXPLAINED[case]
    for text in (*cells, LEARN_REG.format(LOOK=look)):
        notebook.cell(text)
    with pytest.raises(CarrierError) as caught:
        notebook.carry("Learn")
    assert words in str(caught.value)


UNHARMED = {
    "what a wrapper calls later": (
        ["def name(f): return f.__name__\ndef deco(f):\n  def inner(): return name(f)\n  return inner", "@deco\ndef g(): pass", "def name(f): return 'other'"],
        "g()",
    ),
    "a cell that says the same in other words": (
        ["def deco(c):\n  c.w = object()\n  return c", "@deco\nclass A:\n  def f(self): return 1", "def deco(c):\n  'A docstring.'\n  c.w = object()  # a comment\n  return c"],
        "A().f()",
    ),
    "a value that came back": (
        ["class W:\n  def __init__(self, n): self.n = n\nK = 1", "class A:\n  w = W(K)\n  def f(self): return self.w.n", "K = 2", "K = 2 - 1"],
        "A().f()",
    ),
    "an import that says more": (
        ["import functools\nfrom math import pi", "@functools.lru_cache\ndef g(): return pi", "import functools, os\nfrom math import e, pi"],
        "g()",
    ),
    "annotations": (
        ["class Model: pass", "class A:\n  m: Model\n  def f(self, m: Model = None) -> Model: return 1", "class Model:\n  x = 1"],
        "A().f()",
    ),
    "a method that changes its class when it runs": (
        ["class A:\n  n = 0\n  def f(self):\n    A.n += 1\n    return A.n"],
        "A().f()",
    ),
    "a default that a function fills itself": (
        ["def f(x, seen={}):\n  seen[x] = x\n  return x\nf(3)"],
        "f(2)",
    ),
    "methods of its functions": (
        ["import functools", "class A:\n  @functools.lru_cache\n  def f(self): return 1", "A.f.cache_clear()"],
        "A().f()",
    ),
    "what is said of a class": (
        ["class A:\n  def f(self): return 1", "A.__stale__ = 'rerun'\nA.__doc__ = 'A text.'"],
        "A().f()",
    ),
    "an earlier class of the name": (
        ["class A:\n  def f(self): return 1", "A.w = [object()]", "class A:\n  def f(self): return 2"],
        "A().f()",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", UNHARMED)
def test_what_makes_no_difference_is_let_through(notebook, case):
    cells, look = UNHARMED[case]
    for text in (*cells, LEARN_REG.format(LOOK=look)):
        notebook.cell(text)
    job = notebook.job("Learn")["Learn"]().execute()
    assert job == notebook["Learn"]().execute()


def test_a_class_is_found_by_its_code_not_by_its_name(notebook):
    notebook.cell("class Learn:\n  def execute(self): return 'old'\nOld = Learn")
    notebook.cell("class Learn:\n  def execute(self): return 'new'")
    assert notebook.job("Old")["Learn"]().execute() == "old"
    assert notebook.job("Learn")["Learn"]().execute() == "new"


def test_two_versions_in_one_cell(notebook):
    notebook.cell(
        "class Learn:\n  def execute(self): return 'old'\nOld = Learn\n"
        "class Learn:\n  def execute(self): return 'new'"
    )
    assert notebook.job("Old")["Learn"]().execute() == "old"
    assert notebook.job("Learn")["Learn"]().execute() == "new"


def test_two_versions_without_any_method(notebook):
    notebook.cell("import noted")
    notebook.cell(
        "class Learn(noted.Noted):\n  lr: int = 1\nOld = Learn\nclass Learn(noted.Noted):\n  lr: int = 2"
    )
    notebook.cell("class Learn(noted.Noted):\n  lr: int = 3")
    assert notebook.job("Old")["Learn"].lr == 1
    assert notebook.job("Learn")["Learn"].lr == 3


def test_a_helper_that_changed_is_carried_as_it_is_now(notebook):
    notebook.cell("def helper(): return 1").cell(
        "class Learn:\n  def execute(self): return helper()"
    )
    notebook.cell("def helper(): return 2")
    assert notebook.job("Learn")["Learn"]().execute() == 2


def test_the_class_given_is_the_one_meant(notebook):
    notebook.cell("class Model:\n  def f(self): return 'old'\nOld = Model")
    notebook.cell("class Learn:\n  def execute(self): return Model().f()")
    notebook.cell("class Model:\n  def f(self): return 'new'")
    assert notebook.job("Learn", "Model")["Learn"]().execute() == "new"
    with pytest.raises(
        CarrierError, match=r"In\[2\], line 2 uses `Model`, which is that of In\[3\]"
    ):
        notebook.carry("Learn", "Old")
    assert notebook.job("Old")["Model"]().f() == "old"
    with pytest.raises(
        CarrierError, match=r"two versions of it .*In\[1\], line 1.*In\[3\], line 1"
    ):
        notebook.carry("Old", "Model")


def test_equal_text_is_no_other_version(notebook):
    notebook.cell(
        "class Model:\n  def f(self): return 1\nclass Learn:\n  def execute(self): return 1"
    )
    old = notebook["Model"]
    notebook.cell(
        "class Model:\n  def f(self): return 1\nclass Learn:\n  def execute(self): return 2"
    )
    job = notebook.job("Learn", old, "Model")
    assert job["Learn"]().execute() == 2
    assert job["__carried__"].source.count("class Model") == 1


def test_a_base_class_is_the_one_it_had(notebook):
    notebook.cell("class Base:\n  def f(self): return 'old'")
    notebook.cell("class Learn(Base):\n  def execute(self): return self.f()")
    notebook.cell("class Base:\n  def f(self): return 'new'")
    assert notebook.job("Learn")["Learn"]().execute() == "old"
    # Both are needed, each in its time: the order of execution gives each user its own.
    notebook.cell("class Other(Base):\n  def execute(self): return self.f()")
    job = notebook.job("Learn", "Other")
    assert job["Learn"]().execute() == "old"
    assert job["Other"]().execute() == "new"
    with pytest.raises(CarrierError, match="two versions"):
        notebook.carry("Learn", notebook["Learn"].__bases__[0], "Other")


def test_a_cell_that_was_executed_again_still_comes_first(notebook):
    base = "class Base:\n  def f(self): return 1"
    notebook.cell(base).cell("class Learn(Base):\n  def execute(self): return self.f()").cell(base)
    source = notebook.carry("Learn").source
    assert source.index("class Base") < source.index("class Learn")
    assert notebook.job("Learn")["Learn"]().execute() == 1


def test_features_of_the_future_that_came_late(notebook):
    notebook.cell(
        "class Model: pass\nclass First:\n  model: Model\n  def execute(self, m: Model): return 1"
    )
    notebook.cell("from __future__ import annotations")
    notebook.cell(
        "class Learn(First):\n  other: Model\n  def execute(self, m: Model = None): return 2"
    )
    job = notebook.job("Learn")
    assert job["__carried__"].futures == ("annotations",)
    assert job["Learn"]().execute() == 2


def test_a_wrapped_function_brings_nothing_of_its_wrapper(notebook):
    notebook.cell("import contextlib\n@contextlib.contextmanager\ndef around(): yield 3")
    notebook.cell("class Learn:\n  def execute(self):\n    with around() as x: return x")
    carried = notebook.carry("Learn")
    assert [s.place for s in carried.statements] == [
        "In[1], line 1",
        "In[1], line 2",
        "In[2], line 1",
    ]


@pytest.mark.skipif(sys.version_info < (3, 12), reason="syntax of Python 3.12")
def test_type_parameters(notebook):
    notebook.cell(
        "class Model: v = 1\ntype Pair[T] = tuple[T, Model]\ndef first[T](x: list[T]) -> T: return x[0]"
    )
    notebook.cell(
        "class Base[T: Model]:\n  def get(self): return first([Pair.__value__.__args__[1].v])"
    )
    notebook.cell("class Learn(Base[Model]):\n  def execute(self): return self.get()")
    assert notebook.job("Learn")["Learn"]().execute() == 1


def test_cells_executed_again_without_a_change(notebook):
    cells = (
        "import enum\nfrom typing import TypeVar\nclass Kind(enum.Enum):\n  A = 1\nclass Model: pass",
        "T = TypeVar('T', bound=Model)\nModels = dict[str, Model | None]\nTABLE = {'a': Model, 'k': Kind.A}\n"
        "Other = Model\ndef f(kind=Kind.A, cls=Model): return kind.value",
        "class Learn:\n  cls = Model\n  k = Kind.A\n  def execute(self): return T, Models, TABLE, Other, f()",
    )
    for text in cells:
        notebook.cell(text)
    notebook.cell(cells[0])
    job = notebook.job("Learn")
    result = job["Learn"]().execute()
    assert result[2:] == ({"a": job["Model"], "k": job["Kind"].A}, job["Model"], 1)
    notebook.cell("class Model:\n  new = 1")
    with pytest.raises(CarrierError, match=r"run In\[2\] again"):
        notebook.carry("Learn")


def test_two_classes_of_one_text_with_other_bases(notebook):
    big = "class Big(Base):\n  def execute(self): return self.f()"
    notebook.cell("class Base:\n  def f(self): return 1").cell(big)
    old = notebook["Big"]
    notebook.cell("class Base:\n  def f(self): return 2").cell(big)
    assert notebook.job(old)["Big"]().execute() == 1
    assert notebook.job("Big")["Big"]().execute() == 2
    with pytest.raises(
        CarrierError, match="two versions of Base are used at once, as bases of Big"
    ):
        notebook.carry(old, "Big")


def test_the_base_of_a_class_inside_a_class(notebook):
    notebook.cell("class Base:\n  v = 1")
    notebook.cell(
        "class Learn:\n  class Options(Base): pass\n  def execute(self): return self.Options.v"
    )
    notebook.cell("class Base:\n  v = 2")
    assert notebook.job("Learn")["Learn"]().execute() == 1


def test_a_class_defined_in_both_branches(notebook):
    notebook.cell(
        "FAST = False\nif FAST:\n  class Learn:\n    def execute(self): return 'fast'\n"
        "else:\n  class Learn:\n    def execute(self): return 'slow'"
    )
    assert notebook.job("Learn")["Learn"]().execute() == "slow"


def test_functions_in_tables_under_the_future(notebook):
    notebook.cell("from __future__ import annotations")
    notebook.cell(
        "OPS = {'a': lambda x: x}\nclass Learn:\n  key = lambda self: 3\n  def execute(self): return OPS['a'](self.key())"
    )
    assert notebook.job("Learn")["Learn"]().execute() == 3


def test_what_a_decorator_calls_comes_before_its_use(notebook):
    notebook.cell("def deco(c):\n  c.tag = label()\n  return c").cell("def label(): return 'x'")
    notebook.cell("@deco\nclass Learn:\n  def execute(self): return self.tag")
    notebook.cell("def label(): return 'x'  # again")
    assert notebook.job("Learn")["Learn"]().execute() == "x"


def test_an_enum_is_told_from_its_namesake(notebook):
    notebook.cell("import enum\nclass Color(enum.Enum):\n  RED = 1")
    notebook.cell("OLD = Color\nclass Use:\n  def execute(self): return OLD.RED.value")
    notebook.cell(
        "class Color(enum.Enum):\n  RED = 2\nclass Learn:\n  def execute(self): return Color.RED.value"
    )
    assert notebook.job("Learn")["Learn"]().execute() == 2
    with pytest.raises(CarrierError, match="OLD"):  # `OLD = Color` would make it the new one
        notebook.carry("Use")


# --- the text


def test_the_text_is_what_was_written(notebook):
    notebook.cell(
        "import numbers, json\nfrom math import pi, tau, e\nUNUSED = 1\n\n# Tau, as written.\nT = tau  # 2 pi\n"
    )
    notebook.cell("def helper(x):\n    '''Doc.'''\n    return json.dumps(x)  # a comment\n")
    notebook.cell(
        "print('', end='')\n\n@staticmethod\ndef unused(): ...\n\n\n"
        "class Learn:\n    x: int = 1\n\n    def execute(self):\n        return helper(T + pi)\n"
    )
    assert notebook.carry("Learn").source == textwrap.dedent("""\
        # --- In[1]
        import json
        from math import pi, tau
        # Tau, as written.
        T = tau  # 2 pi


        # --- In[2]
        def helper(x):
            \'\'\'Doc.\'\'\'
            return json.dumps(x)  # a comment


        # --- In[3]
        class Learn:
            x: int = 1

            def execute(self):
                return helper(T + pi)
        """)


def test_what_is_carried_is_listed(notebook):
    notebook.cell("from __future__ import annotations\nimport json\nA, B = 1, 2")
    notebook.cell("class Learn:\n  def execute(self):\n    import math.nothing\n    return json, A")
    carried = notebook.carry("Learn")
    assert carried.futures == ("annotations",)
    assert carried.modules == ("json", "math.nothing")
    assert carried.names == ("A", "B", "Learn", "json")
    assert [s.place for s in carried.statements] == [
        "In[1], line 2",
        "In[1], line 3",
        "In[2], line 1",
    ]
    assert carried == notebook.carry("Learn")


def test_linecache_will_do_without_a_history(notebook):
    notebook.cell("def h(): return 1").cell("class Learn:\n  def execute(self): return h()")
    assert notebook.job("Learn", texts=False)["Learn"]().execute() == 1


def test_a_history_will_do_without_linecache(notebook):
    notebook.cell("def h(): return '\u2028'").cell("class Learn:\n  def execute(self): return h()")
    notebook.close()
    assert notebook.job("Learn")["Learn"]().execute() == "\u2028"


def test_odd_line_ends_and_separators(notebook):
    notebook.cell(
        "S = '\u2028'\r\nclass Learn:\r\n  def execute(self):\r\n    return S + '\x0c\x1c'\r\n"
    )
    assert notebook.job("Learn")["Learn"]().execute() == "\u2028\x0c\x1c"


def test_classes_of_modules_become_imports(notebook):
    import noted

    notebook.cell("class Learn:\n  def execute(self): return 1")
    source = notebook.carry("Learn", noted.Site, noted.Noted).source
    assert source.startswith(
        "# --- imported\nfrom noted import Noted\nfrom noted import Site\n\n\n# --- In[1]\n"
    )
    notebook.cell("class Site: pass")
    assert "import noted\n" in notebook.carry("Site", noted.Site).source

    class Local:
        pass

    with pytest.raises(CarrierError, match="Local"):
        notebook.carry(Local)


# --- the script

STUB = """
import json, sys
def main(script):
    main = vars(sys.modules["__main__"])
    print(json.dumps({"value": main["Learn"]().execute(), "path": sys.path, "script": script}))
"""


def write(notebook, tmp_path, name, **options):
    """Write a job's script beside a stand-in for the runner, and give both."""
    package = tmp_path / "path with ' and \" and é" / "xpm_nb" / "runtime"
    package.mkdir(parents=True)
    (package.parent / "__init__.py").touch()
    (package / "runner.py").write_text(STUB)
    root = package.parent.parent
    given = {
        "task": "Learn",
        "type_name": "digits.learn",
        "identifier": "ab" * 32,
        "namespace": "digits",
        "name": name,
        "sys_path": [
            str(root),
            *(p for p in sys.path if "site-packages" not in p and p != str(REPOSITORY)),
        ],
    }
    folder = tmp_path / "jobs" / "learn"
    folder.mkdir(parents=True)
    path = folder / f"{name}.py"
    path.write_text(script(notebook.carry("Learn"), **given | options), encoding="utf-8")
    return path


@pytest.mark.slow
@pytest.mark.parametrize("name", ["random", "code", "types", "json", "numpy", "os"])
@pytest.mark.parametrize("flags", [(), ("-P",)])
def test_a_script_may_be_named_like_a_module(notebook, tmp_path, name, flags):
    notebook.cell(
        "import random, types, code, json\nclass Learn:\n"
        "  def execute(self): return [m.__file__ for m in (random, types, code, json)]"
    )
    path = write(notebook, tmp_path, name)
    for where, given in ((path.parent, path.name), (tmp_path, str(path))):
        out = subprocess.run(
            [sys.executable, *flags, given], cwd=where, capture_output=True, text=True, check=True
        )
        said = json.loads(out.stdout)
        assert not any(str(tmp_path) in file for file in said["value"])
        assert said["path"] == [*dict.fromkeys(said["path"])]
        assert str(path.parent) not in said["path"]
        assert said["script"] == str(path)


@pytest.mark.slow
def test_modules_of_a_path_that_is_gone_are_found_where_this_python_has_them(notebook, tmp_path):
    notebook.cell("class Learn:\n  def execute(self): return 1")
    path = write(notebook, tmp_path, "learn", sys_path=["/there/is/no/such/directory"])
    (runner,) = tmp_path.glob("*/xpm_nb")
    environ = {"PYTHONPATH": str(runner.parent)}
    out = subprocess.run(
        [sys.executable, str(path)], env=environ, capture_output=True, text=True, check=True
    )
    assert json.loads(out.stdout)["value"] == 1


def test_the_whole_text(notebook):
    notebook.cell("from __future__ import annotations")
    notebook.cell("class Learn:\n    def execute(self):\n        return 1")
    given = {
        "task": "Learn",
        "type_name": "digits.learn",
        "identifier": "ab" * 32,
        "namespace": "digits",
        "name": "learn",
        "sys_path": ["/a", "/b c\n", "/a", '/"d"\\\udc80'],
        "python": "/usr/bin/python3",
    }
    text = script(notebook.carry("Learn"), **given)
    version = f"{tuple(sys.version_info[:2])}"
    patch = sys.version.split()[0]
    assert text == textwrap.dedent(f"""\
        # The code of one job, as it was when the job was submitted. Written by xpm_nb.
        #
        #     task        Learn
        #     type        digits.learn
        #     identifier  {"ab" * 32}
        #     namespace   digits
        #
        # To run it by hand, without notebook or kernel:
        #
        #     /usr/bin/python3 learn.py
        #
        # A job that is done is then executed once more as a rehearsal; nothing of the job is touched.

        from __future__ import annotations

        import sys

        if sys.version_info[:2] != {version}:
            sys.exit("made by Python {patch}, but this is " + sys.version.split()[0])

        # Where the notebook found its modules, and behind that what this Python knows of. It is done before
        # anything is imported: the directory of a script, which is first on the path, may hold a random.py
        # or json.py: this very file.
        _paths = [
            "/a",
            "/b c\\n",
            "/\\"d\\"\\\\\\udc80",
            *sys.path[0 if sys.flags.safe_path else 1 :],
        ]
        sys.path[:] = dict.fromkeys(_paths)


        # --- In[2]
        class Learn:
            def execute(self):
                return 1


        if __name__ == "__main__":
            from xpm_nb.runtime.runner import main

            main(__file__)
        """)
    assert script(notebook.carry("Learn"), **given) == text
    assert "(all classes are imported)" in script(notebook.carry(), **given | {"namespace": None})


def test_a_function_named_main_stays_what_it_is(notebook):
    notebook.cell("def main(): return 1\nclass Learn:\n  def execute(self): return main()")
    text = script(
        notebook.carry("Learn"),
        task="Learn",
        type_name="x.learn",
        identifier="0",
        namespace="x\nimport os",
        name="learn",
        sys_path=[],
    )
    assert text.endswith(
        "    from xpm_nb.runtime.runner import main as xpm_nb_main\n\n    xpm_nb_main(__file__)\n"
    )
    assert "namespace   x import os\n" in text


# --- scripts and files in place of cells

SCRIPT = """
import sys, os.path
sys.path[:0] = [{tests!r}, {root!r}]
import noted
from xpm_nb.code.carrier import carry

LIMIT = 3
def helper(): return os.path.join("a", str(LIMIT))
class Params(noted.Noted):
    lr: float = 0.1
class Learn(noted.Noted):
    def execute(self): return helper(), Params.lr
Old = Learn
class Learn(noted.Noted):
    def execute(self): return "new", os.path.basename("b/c")

if __name__ == "__main__":
    for cls in (Old, Learn):
        got = carry([cls], namespace_globals=globals(), numbers={{}}, site=noted.site)
        space = {{"__name__": "job"}}
        exec(got.source, space)
        print(space["Learn"]().execute(), got.source.splitlines()[0])
"""


@pytest.mark.slow
def test_classes_of_a_script(tmp_path):
    path = tmp_path / "train.py"
    path.write_text(SCRIPT.format(tests=str(Path(__file__).parent), root=str(REPOSITORY)))
    out = subprocess.run([sys.executable, path], capture_output=True, text=True, check=True)
    assert out.stdout == "('a/3', 0.1) # --- train.py\n('new', 'c') # --- train.py\n"


OURS = "from xpm_nb import Task, Param, Choices\nfrom typing import Annotated, Optional"
TEXTS = {
    "quoted": "a: 'Param[Optional[int]]'",
    "postponed": "a: Param[Annotated[int, Choices(SIZES)]]",
    "both": "a: 'Param[Annotated[int, Choices(SIZES)]]'",
    "text in text": "a: Param['Optional[int]']",
}


@pytest.mark.parametrize("annotation", TEXTS.values(), ids=TEXTS)
@pytest.mark.parametrize("future", [False, True])
def test_names_in_the_text_of_parameters(notebook, annotation, future):
    if future:
        notebook.cell("from __future__ import annotations")
    notebook.cell(OURS)
    notebook.cell("SIZES = [1, 2]")
    notebook.cell(f"class Learn(Task):\n  {annotation}\n  def execute(self): return self.a")
    job = notebook.job("Learn")
    assert {n for n in ("Param", "Optional", "SIZES", "Choices") if n in annotation} <= job.keys()


def test_text_that_is_no_parameter_brings_nothing(notebook):
    notebook.cell("from __future__ import annotations\nimport itertools\ncount = itertools.count()")
    notebook.cell("class Learn:\n  a: 'count'\n  b: absent\n  c: 'Param[absent]'")
    assert "count" not in notebook.job("Learn")


def test_code_from_standard_input():
    code = (
        "from xpm_nb import Task\nfrom xpm_nb.code.carrier import carry\n"
        "from xpm_nb.core.config import site\n"
        "class Learn(Task):\n  def execute(self): return 1\n\n"
        "carry([Learn], namespace_globals=globals(), numbers={}, site=site)\n"
    )
    done = subprocess.run(
        [sys.executable, "-"], input=code, cwd=REPOSITORY, capture_output=True, text=True
    )
    assert "Save it in a file or a notebook." in done.stderr


def test_what_a_cell_changes_in_a_module_of_ones_own_is_told(notebook, monkeypatch):
    noted = importlib.import_module("noted")  # beside this file
    monkeypatch.setattr(noted, "LEVEL", {"a": 1}, raising=False)
    notebook.cell("import math, noted\nfrom pathlib import Path\nmath.pi")
    notebook.cell("noted.LEVEL['a'] = 2\nother = []\nother.append(noted)")
    notebook.cell("class Learn:\n  def execute(self): return noted.LEVEL, math.pi, Path")
    (doubt,) = notebook.carry(notebook["Learn"]).doubts
    assert doubt.startswith(
        "In[2], line 1 changes noted.LEVEL[…]: the job of Learn does not see it"
    )
    assert doubt.endswith(
        "imports noted as its file is. Write it into the file, or make it a parameter."
    )
    notebook.cell("class Other:\n  def execute(self): return math.pi")
    assert notebook.carry(notebook["Other"]).doubts == (), "it does not use the module"


def test_a_former_class_that_is_carried_is_told_of(notebook):
    notebook.cell("class Model:\n  def f(self): return 1\nOld = Model")
    notebook.cell("class Big(Model): pass")
    notebook.cell("class Learn:\n  def execute(self): return Big().f()")
    assert notebook.carry("Learn").doubts == ()
    notebook.cell("class Model:\n  # only a comment\n  def f(self): return 1")
    assert notebook.carry("Learn", "Old").doubts == ()
    notebook.cell("class Model:\n  def f(self): return 2")
    (doubt,) = notebook.carry("Learn").doubts
    assert doubt == (
        "Model was defined anew by In[5], line 1, and the job still has that of In[1], line 1. If "
        "the new one is meant, run In[2] again."
    )
    notebook.cell("Model = Old")
    assert notebook.carry("Learn").doubts == ()


def test_enums_are_told_apart_by_their_functions(notebook):
    notebook.cell("import enum\nclass Kind(enum.Enum):\n  A = 1\n  def f(self): return 1")
    notebook.cell("class Kind(enum.Enum):\n  A = 1\nOld = Kind")
    notebook.cell("class Kind(enum.Enum):\n  A = 1\n  def g(self): return 1")
    notebook.cell("class Kind(enum.Enum):\n  A = 1\n  B = enum.auto()")
    notebook.cell("class Kind(enum.Enum):\n  A = 'a'")
    assert "In[2]" in notebook.carry("Old").source


@pytest.mark.parametrize(("reads", "number"), [("a", 0), ("f.__annotations__", 1)])
def test_what_was_executed_before_a_feature_of_the_future(notebook, reads, number):
    notebook.cell("def f(a: int): return a")
    notebook.cell("from __future__ import annotations")
    notebook.cell(f"class Learn:\n  def execute(self, a: int): return f(1), {reads}")
    doubts = notebook.carry("Learn").doubts
    assert len(doubts) == number
    assert all("In[1], line 1 was executed before" in doubt for doubt in doubts)


def test_two_objects_of_one_definition_one_of_which_was_changed(notebook):
    text = "class A:\n  w = 1\n  def f(self): return self.w"
    notebook.cell(text).cell("class E(A): pass").cell(text).cell("A.w = 2")
    notebook.cell("class Learn:\n  def execute(self): return [A.w, E.w]")
    assert notebook["Learn"]().execute() == [2, 1]
    with pytest.raises(
        CarrierError, match=r"In\[3\], line 1 defines .*In\[4\], line 1 has changed"
    ):
        notebook.carry("Learn")
    notebook.cell("class E(A): pass")
    assert notebook.job("Learn")["Learn"]().execute() == [2, 2]


def test_what_another_class_changes_is_no_doing_of_this_one(notebook):
    notebook.cell("class A:\n  sizes = []\n  def f(self): return self.sizes")
    notebook.cell("class Other:\n  sizes = []\n  def grow(self): self.sizes.append(1)")
    notebook.cell("class Learn:\n  def execute(self): return A().f(), Other().grow()")
    notebook.cell("def setup(): A.sizes.append(2)\nsetup()")
    with pytest.raises(CarrierError, match=r"A\.sizes \(In\[1\], line 1\) is \[2\], and would be"):
        notebook.carry("Learn")


def test_what_is_set_by_another_name(notebook):
    notebook.cell("class A:\n  w = None\n  def f(self): return self.w")
    notebook.cell("class Other: pass\nB = Other")
    notebook.cell("class Learn:\n  def execute(self): return A().f()")
    notebook.cell("B.w = 1\nB = A").cell("B.w = Learn")
    job = notebook.job("Learn")
    assert job["Learn"]().execute() is job["Learn"]
    assert "B.w = 1" not in job["__carried__"].source
