"""Every way in which cells define things: what the job computes with it, or the exact refusal.

One kernel executes the cells of all cases; every accepted case runs as a job of its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import NamedTuple

import pytest

pytestmark = pytest.mark.slow

BASE = "from xpm_nb import Config, Meta, Param, Task, field"

BEGIN = """
for _name in [n for n in globals() if not n.startswith("_") and n not in {kept!r}]:
    del globals()[_name]
get_ipython().compile.reset_compiler_flags()
import xpm_nb as _xpm
_xp = _xpm.start({name!r})
"""
KEPT = ("In", "Out", "get_ipython", "exit", "quit", "open")


class Table:
    def __init__(self, lab):
        self.lab = lab
        self.kernel = lab.kernel(load=False)
        self.count = 0

    def cells(self, cells):
        """Execute the cells of a case in a fresh experiment; give their execution numbers."""
        self.count += 1
        self.kernel.run(BEGIN.format(kept=KEPT, name=f"case{self.count}"))
        first = int(self.kernel.run("len(In)").result)
        for text in cells:
            self.kernel.run(text)
        return [first + n for n in range(len(cells))]

    def value(self, make="Learn.C()", *, pickled=False):
        """Submit, and give what the job computed: nothing but the source was carried there."""
        text = f"_run = _xp.submit({make}); import json as _json; print(_json.dumps(_run.result()))"
        answer = self.kernel.run(text)
        (self.script,) = self.lab.workspace.glob(f"jobs/case{self.count}.*/*/*.py")
        assert ("xpm_nb.code.pickled" in self.script.read_text()) == pickled
        return json.loads(answer.stdout.strip().splitlines()[-1])


@pytest.fixture(scope="module")
def table(shared_lab):
    return Table(shared_lab)


class Case(NamedTuple):
    cells: list[str]
    value: object
    make: str = "Learn.C()"


def learn(body, head=""):
    return f"class Learn(Task):\n  {head or 'pass'}\n  def execute(self):\n    {body}"


CARRIED = {
    "helpers and globals of several cells": Case(
        [BASE, "N = 3", "def inner(): return N", "def helper(): return inner() + 1", learn("return helper()")],
        4,
    ),
    "callbacks, completed data, arrays and comprehensions": Case(
        [
            f"{BASE}\nimport random\nimport numpy as np\nfrom dataclasses import dataclass, replace\nSEED = 3",
            "%%time\nclass CB:\n  def __init__(self, name='cb'): self.name = name\n  def on(self, e): pass",
            "class Log(CB):\n  def __init__(self, every=2):\n    super().__init__(name='log')\n    self.every, self.seen = every, []\n"
            "  def on(self, e):\n    if e % self.every == 0: self.seen.append(e)",
            "CALLBACKS = [Log(), Log(every=3)]",
            "@dataclass\nclass Cfg:\n  lr: float = 0.1\n  n: int = 2\n  def __post_init__(self): self.n += 1",
            "CFG = Cfg(lr=0.2)\nMORE = replace(CFG, n=7)\nBINS = np.linspace(0, 1, 5)\nCOLS = ['a', 'b']\n"
            "MAP = {c: c.upper() for c in COLS}\nrng = random.Random(SEED)",
            "CALLBACKS.append(Log(1))",
            learn("for c in CALLBACKS: c.on(3)\n    return [[c.seen for c in CALLBACKS], CFG.n, MORE.n, BINS[1], MAP, round(rng.random(), 3)]"),
        ],
        [[[], [3], [3]], 3, 8, 0.25, {"a": "A", "b": "B"}, 0.238],
    ),
    "what another name has changed, and a default dict of a function": Case(
        [
            f"{BASE}\nfrom collections import defaultdict\nfrom dataclasses import dataclass\n@dataclass\nclass Cfg:\n  n: int = 2",
            "CFG = Cfg()\nDD = defaultdict(lambda: 1, a=3)",
            "CFG2 = CFG; CFG2.n = 10",
            learn("return [CFG.n, DD['a'], DD['b']]"),
        ],
        [10, 3, 1],
    ),
    "a registry that a wrapping decorator fills": Case(
        [
            f"{BASE}\nimport functools\nREG = {{}}\ndef register(name, scale=1):\n  def deco(f):\n    @functools.wraps(f)\n"
            "    def w(*a): return f(*a) * scale\n    REG[name] = w\n    return w\n  return deco",
            "@register('lin', scale=2)\ndef lin(x): return x",
            "@register('quad')\ndef quad(x): return x * x",
            learn("return {k: f(3) for k, f in REG.items()}"),
        ],
        {"lin": 6, "quad": 9},
    ),
    "super, a metaclass, generics": Case(
        [
            f"{BASE}\nfrom typing import Generic, TypeVar\nT = TypeVar('T')",
            "class Tagged(type):\n  def label(cls): return cls.__name__",
            "class Other(metaclass=Tagged): pass",
            "class Base(Task, Generic[T]):\n  def execute(self): return [Other.label()]",
            "class Learn(Base[int]):\n  def execute(self): return super().execute() + ['learn']",
        ],
        ["Other", "learn"],
    ),
    "a metaclass of a task": Case(
        [
            BASE,
            "class Counting(type):\n  def __new__(m, n, b, d): return super().__new__(m, n, b, {**d, 'extra': 5})",
            "class Learn(Task, metaclass=Counting):\n  def execute(self): return self.extra",
        ],
        5,
    ),
    "enum, dataclass, named tuple, protocol, new type, typed dict": Case(
        [
            f"{BASE}\nimport enum\nfrom dataclasses import dataclass\nfrom typing import *",
            "class Kind(enum.Enum):\n  A = 'a'\n  B = enum.auto()",
            "@dataclass\nclass Point:\n  x: int = 1\n\nclass Pair(NamedTuple):\n  a: int\n  b: int = 2",
            "class Sized(Protocol):\n  size: int\nUser = NewType('User', int)\nclass Row(TypedDict):\n  n: int",
            "class Learn(Task):\n  kind: Param[Kind] = Kind.B\n  def execute(self, s: Sized = None):\n"
            "    return [Kind.A.value, Point().x, Pair(1).b, User(4), self.kind is Kind.B, Row(n=3)]",
        ],
        ["a", 1, 2, 4, True, {"n": 3}],
    ),
    "a dynamic import": Case(
        [BASE, learn("from importlib import import_module\n    return import_module('math').floor(2.5)")],
        2,
    ),
    "a name that is defined later": Case(
        [BASE, learn("return late()"), "def late(): return 'late'"],
        "late",
    ),
    "text in an annotation that names another cell's class, resolved at run time": Case(
        [
            f"{BASE}\nimport typing",
            "class Model(Config):\n  hidden: Param[int] = 3",
            "class Learn(Task):\n  model: Param['Model']\n  def execute(self):\n"
            "    hint = typing.get_type_hints(Learn)['model']\n"
            "    return [typing.get_args(hint)[0] is Model if typing.get_args(hint) else hint is Model, self.model.hidden]",
        ],
        [True, 4],
        "Learn.C(model=Model.C(hidden=4))",
    ),
    "classes without methods": Case(
        [BASE, "class Model(Config):\n  hidden: Param[int] = 3", "class Big(Model): pass", learn("return [type(self.model).__name__, self.model.hidden]", "model: Param[Model]")],
        ["Big", 3],
        "Learn.C(model=Big.C())",
    ),
    "nested classes": Case(
        [
            BASE,
            "class Learn(Task):\n  class Options(Config):\n    depth: Param[int] = 2\n  class Plain:\n    wide = 3\n"
            "  options: Param[Options]\n  def execute(self): return [self.options.depth, self.Plain.wide]",
        ],
        [5, 3],
        "Learn.C(options=Learn.Options.C(depth=5))",
    ),
    "decorators with and without wraps, with arguments, of classes": Case(
        [
            f"{BASE}\nimport functools",
            "def twice(f):\n  @functools.wraps(f)\n  def inner(*a): return 2 * f(*a)\n  return inner",
            "def add(n):\n  def deco(f):\n    return lambda *a: f(*a) + n\n  return deco\nN = 10",
            "@twice\ndef three(): return 3\n@add(N)\ndef one(): return 1\n@functools.lru_cache\ndef four(): return 4",
            "def register(c):\n  c.registered = True\n  return c",
            "@register\nclass Learn(Task):\n  @twice\n  def execute(self): return [three(), one(), four(), self.registered]",
        ],
        [6, 11, 4, True, 6, 11, 4, True],
    ),
    "features of the future, in force for all cells": Case(
        [
            f"from __future__ import annotations\n{BASE}",
            "class Model(Config):\n  hidden: Param[int] = 3",
            learn("return [Learn.__annotations__['model'], self.model.hidden]", "model: Param[Model]"),
        ],
        ["Param[Model]", 3],
        "Learn.C(model=Model.C())",
    ),
    "aliases, also of ours": Case(
        [
            "from typing import Annotated\nfrom pathlib import Path\nfrom xpm_nb import *",
            "Rate = Param[float]\nSize = Annotated[int, Choices([1, 2])]\ng = param_group('iter')",
            "class Model(Config):\n  rate: Rate = 0.5\n  size: Param[Size] = field(default=1, groups=[g])\nNet = Model",
            "class Learn(Task):\n  model: Param[Net]\n  ck = partial(exclude_groups=[g])\n"
            "  def execute(self): return [self.model.rate, self.model.size]",
        ],
        [0.25, 2],
        "Learn.C(model=Net.C(rate=0.25, size=2))",
    ),
    "type variables of configurations": Case(
        [
            f"{BASE}\nfrom typing import Generic, TypeVar",
            "T = TypeVar('T', bound='Model')\nclass Model(Config):\n  n: Param[int]",
            "class Box(Config, Generic[T]):\n  item: Param[T]",
            learn("return self.box.item.n", "box: Param[Box[Model]]"),
        ],
        7,
        "Learn.C(box=Box.C(item=Model.C(n=7)))",
    ),
    "plain values and computations": Case(
        [
            f"{BASE}\nimport re, logging, threading\nfrom collections import namedtuple\nfrom pathlib import Path",
            "A, B = 1, -2.5\nC = {'x': [1, (2, 3)]}\nSIZES = [2 ** i for i in range(3)]\nQ = namedtuple('Q', 'a b')",
            "ROOT = Path('data') / 'x'\nRX = re.compile('a+')\nlog = logging.getLogger('l')\nLOCK = threading.Lock()\ndouble = lambda x: 2 * x",
            "OPS = {'d': double}",
            learn("with LOCK: return [A, B, C, SIZES, Q(1, 2).b, str(ROOT), RX.match('aab').group(), log.name, OPS['d'](4)]"),
        ],
        [1, -2.5, {"x": [1, [2, 3]]}, [1, 2, 4], 2, "data/x", "aa", "l", 8],
    ),
    "a table, written out in a function": Case(
        [BASE, f"def table():\n  return {list(range(9000))!r}", learn("return sum(table())")],
        sum(range(9000)),
    ),
    "try and if around definitions": Case(
        [
            BASE,
            "try:\n  import not_there_at_all as fast\nexcept ImportError:\n  import math as fast",
            "import sys\nif sys.platform == 'nowhere':\n  def where(): return 'nowhere'\nelse:\n  def where(): return 'here'",
            learn("return [fast.__name__, where()]"),
        ],
        ["math", "here"],
    ),
    "a function with implementations per type": Case(
        [
            f"{BASE}\nimport functools\n@functools.singledispatch\ndef show(x): return 'any'",
            "@show.register\ndef _(x: int): return 'int'",
            learn("return [show(1), show('x')]"),
        ],
        ["int", "any"],
    ),
    "functions that await and yield": Case(
        [BASE, "async def f(): return 1\ndef g(): yield 2", learn("import asyncio\n    return [asyncio.run(f()), *g()]")],
        [1, 2],
    ),
    "%%time": Case(
        ["%%time\n" + BASE + "\n!true\nN = 2", "%%time\n%pwd\n" + learn("return N") + "\n1 + 1"],
        2,
    ),
    "%%time around a class without methods": Case(
        [BASE, "%%time\nclass Model(Config):\n  hidden: Param[int] = 3", learn("return self.model.hidden", "model: Param[Model]")],
        3,
        "Learn.C(model=Model.C())",
    ),
    "%%time around what awaits": Case(
        [f"{BASE}\nimport asyncio", "%%time\nasync def f(): return await asyncio.sleep(0, 6)", learn("return asyncio.run(f())")],
        6,
    ),
    "%%capture, and one magic in another": Case(
        [BASE, "%%capture out\nimport os\ndef f(): return os.sep", "%%time\n%%capture\n!true\ndef g(): return f()", learn("return g()")],
        "/",
    ),
    "%%prun": Case([BASE, "%%prun -q\ndef f(): return 8", learn("return f()")], 8),
    "a cell magic of one's own": Case(
        [
            "from IPython.core.magic import register_cell_magic\n@register_cell_magic\ndef mine(line, cell):\n  get_ipython().run_cell(cell)",
            BASE,
            "%%mine a b\n\ndef f(): return 9",
            learn("return f()"),
        ],
        9,
    ),
    "lines for IPython": Case(
        [f"%cd -q .\n!true\nfiles = !ls\n{BASE}\n{learn('return 1')}\n%who_ls\nLearn?"],
        1,
    ),
    "a cell that awaits": Case(
        [f"import asyncio\n{BASE}\nawait asyncio.sleep(0)\n{learn('return asyncio.__name__')}"],
        "asyncio",
    ),
    "a value that was awaited beside it": Case(
        [f"import asyncio\n{BASE}\nx = await asyncio.sleep(0, 3)\ndef f(): return 4\n{learn('return f()')}"],
        4,
    ),
    "open, of which IPython has its own": Case(
        [BASE, learn("with open('/dev/null') as file: return file.read()")],
        "",
    ),
    "several versions in one cell: the one in hand": Case(
        [
            BASE,
            "class Learn(Task):\n  def execute(self): return 'first'\nFirst = Learn\n"
            "class Learn(Task):\n  def execute(self): return 'second'",
            "class Learn(Task):\n  def execute(self): return 'third'",
        ],
        "first",
        "First.C()",
    ),
    "relative order: an earlier cell executed again": Case(
        [
            BASE,
            "class Model(Config):\n  def f(self): return 1",
            "class Learn(Model, Task):\n  def execute(self): return self.f()",
            "class Model(Config):\n  def f(self): return 1",
        ],
        1,
    ),
    "a script that %run executed": Case(
        [
            BASE,
            "from pathlib import Path\nPath('part.py').write_text('import math\\nK = 2\\ndef part(): return math.floor(K + 0.5)\\n')",
            "%run part.py",
            learn("return part()"),
        ],
        2,
    ),
    "a module that %%writefile wrote": Case(
        [BASE, "%%writefile beside_us.py\ndef f(): return 'beside'", "import beside_us", learn("return beside_us.f()")],
        "beside",
    ),
    "a star import of everything": Case(
        ["from xpm_nb import *\nfrom pathlib import Path", learn("return self.at.name", "at: Meta[Path] = field(default_factory=PathGenerator('x'))")],
        "x",
    ),
    "a module that %pylab might have brought": Case(
        [f"{BASE}\nget_ipython().user_ns['m'] = __import__('math')", learn("return m.floor(2.5)")],
        2,
    ),
    "a history that was reset": Case(
        [f"{BASE}\n%reset -f in\n{BASE}\nimport xpm_nb as _xpm; _xp = _xpm.start('case' + _xp.name[4:])", learn("return 9")],
        9,
    ),
    "a base class of a cell and a module's class": Case(
        [f"{BASE}\nimport collections", "class Bag(collections.OrderedDict):\n  def first(self): return next(iter(self))", learn("return Bag(a=1).first()")],
        "a",
    ),
    "abstract bases, slots, class and static methods, properties": Case(
        [
            f"{BASE}\nimport abc",
            "class Base(abc.ABC):\n  @abc.abstractmethod\n  def f(self): ...",
            "class Impl(Base):\n  __slots__ = ('x',)\n  def f(self):\n    self.x = 1\n    return self.x\n  @staticmethod\n  def s(): return 2\n  @classmethod\n  def c(cls): return cls.s() + 1\n  @property\n  def p(self): return self.c() + 1",
            learn("return [Impl().f(), Impl.s(), Impl.c(), Impl().p]"),
        ],
        [1, 2, 3, 4],
    ),
    "an attribute that another cell computes": Case(
        [BASE, "class W:\n  def __init__(self, n): self.n = n", learn("return self.w.n", "w = W(1)"), "Learn.w = W(2)"],
        2,
    ),
    "an attribute that a class gets later": Case(
        [f"{BASE}\nimport math", learn("return [self.w(4), Only.one is Only.one, type(Only.one).__name__]"), "class Only: pass\nOnly.one = Only()", "Learn.w = math.sqrt"],
        [2.0, True, "Only"],
    ),
    "attributes of a decorated function and of a method": Case(
        [
            f"{BASE}\nimport functools\ndef deco(f):\n  @functools.wraps(f)\n  def g(): return f()\n  return g",
            "@deco\ndef f(): return 1",
            learn("return [f.k, Learn.execute.k]"),
            "f.k = 3",
            "Learn.execute.k = 4",
        ],
        [3, 4],
    ),
    "registries that statements fill": Case(
        [
            f"{BASE}\nREG, NAMES = [], {{}}".replace("REG, NAMES = [], {}", "REG = []\nNAMES = {}"),
            "def f(): return 1\nREG.append(f)\nNAMES['f'] = f",
            "def g(): return 2\nREG.append(g)\nNAMES.update(g=g, x='name')\ndel NAMES['f']",
            learn("return [[h() for h in REG], NAMES['g'](), sorted(NAMES)]"),
        ],
        [[1, 2], 2, ["g", "x"]],
    ),
    "a registry of a class that statements fill": Case(
        [
            BASE,
            "class Base:\n  REG = {}\n  def all(self): return {k: f() for k, f in self.REG.items()}",
            "def f(): return 1\nBase.REG['f'] = f",
            learn("return Base().all()"),
        ],
        {"f": 1},
    ),
    "virtual subclasses": Case(
        [
            f"{BASE}\nimport abc\nclass Base(abc.ABC): pass",
            "class X: pass\nBase.register(X)\nBase.register(int)",
            learn("return [isinstance(X(), Base), isinstance(1, Base), isinstance('', Base)]"),
        ],
        [True, True, False],
    ),
    "the classes derived from one": Case(
        [
            f"{BASE}\nclass Base: pass",
            "class X(Base): pass",
            "class Y(X):\n  def f(self): return helper()\ndef helper(): return 'h'",
            learn("return [[d.__name__, d().f()] for c in Base.__subclasses__() for d in c.__subclasses__()]"),
        ],
        [["Y", "h"]],
    ),
    "attributes that are set by another name": Case(
        [
            f"{BASE}\nclass W:\n  def __init__(self, n): self.n = n",
            "class A:\n  w = None\n  v = 1\ndef f(): return f.k",
            learn("return [A.w.n, A._u, A.v, f()]"),
            "B = A\ng = f\nB.w = W(3)",
            "B._u = 2\nA.v += 4\ng.k = [5]\nf.k += [6]",
        ],
        [3, 2, 5, [5, 6]],
    ),
    "attributes that are set in the cell of the definition": Case(
        [
            BASE,
            "class M:\n  w = 1\n  t = {}\nM.w = 4\nM.t['a'] = {}\nM.t['a']['b'] = M.w\nfor k in 'xy': setattr(M, k, k)",
            "def f(n):\n  f.seen.append(n)\n  return len(f.seen)\nf.seen = [1]",
            learn("return [M.w, M.t, M.x + M.y, f(2), self.w]", "w = 1") + "\nLearn.w = 7",
        ],
        [4, {"a": {"b": 4}}, "xy", 2, 7],
    ),
    "tables that statements fill, in loops and otherwise": Case(
        [
            f"{BASE}\nR = {{'a': {{}}}}\nR['a']['b'] = 1\nS = {{}}\nfor k in range(4):\n  if k % 2: S[k] = k * k\n  else: S[str(k)] = 0",
            "L = [3, 1]\nL += [2]\nL.sort()\nX = 1\nX += 2\nX = X * 2\nL = L[::-1]",
            "for key, value in R.items():\n  t = [key]\n  L.append(t)",
            learn("return [R, S, L, X]"),
        ],
        [{"a": {"b": 1}}, {"0": 0, "1": 1, "2": 0, "3": 9}, [3, 2, 1, ["a"]], 6],
    ),
    "instances that are nothing but data": Case(
        [
            f"{BASE}\nimport argparse, dataclasses\nfrom types import SimpleNamespace\nfrom typing import NamedTuple",
            "@dataclasses.dataclass(frozen=True)\nclass S:\n  n: int = 1\n  sizes: list = dataclasses.field(default_factory=lambda: [64])\n  def twice(self): return 2 * self.n",
            "class P(NamedTuple):\n  a: int = 1\n  s: S = S(2)\n@dataclasses.dataclass\nclass V:\n  x: int = 0",
            "CFG = S(3)\nALL = [S(k) for k in range(2)]\nNEW = dataclasses.replace(CFG, n=CFG.n + 1)\nPAIR = P(4)._replace(a=5)\nv = V()\nv.x = 6",
            "ARGS = argparse.Namespace(lr=0.5)\nNS = SimpleNamespace(a=1)\nNS.b = [ARGS.lr]",
            learn("return [CFG.twice(), CFG.sizes, [s.n for s in ALL], NEW.n, PAIR.a, PAIR.s.n, v.x, ARGS.lr, NS.b]"),
        ],
        [6, [64], [0, 1], 4, 5, 2, 6, 0.5, [0.5]],
    ),
    "methods and functions of Python's that have no effect": Case(
        [
            f"{BASE}\nimport math\nfrom pathlib import Path\nT = 'adam sgd'\nD = {{'a': 1}}\nP = Path('a/b.txt')",
            "NAMES = T.upper().split()\nA = D.get('a', 2)\nROOT = P.parent.joinpath(P.stem)\nS = math.sqrt(4)\nLABEL = '{}-{}'.format(T, A)",
            learn("return [NAMES, A, str(ROOT), S, LABEL]"),
        ],
        [["ADAM", "SGD"], 1, "a/b", 2.0, "adam sgd-1"],
    ),
    "caches of functions that were called": Case(
        [
            f"{BASE}\nimport functools",
            "@functools.lru_cache(maxsize=None)\ndef f(n): return n + 1\n@functools.cache\ndef g(n): return f(n)",
            "class A:\n  _one = None\n  @functools.cached_property\n  def p(self): return 5\n  @functools.lru_cache\n  def m(self): return 6\n"
            "  @classmethod\n  def one(cls):\n    cls._one = cls._one or cls()\n    return cls._one",
            "f(1), g(2), A.one().p, A.one().m(), f.cache_info()",
            learn("return [f(1), g(2), A._one is None, A.one().p, A.one().m()]"),
        ],
        [2, 3, True, 5, 6],
    ),
    "names that are looked up by a text": Case(
        [
            f"{BASE}\nimport sys, __main__\nA, B, C, D, E, F, G = 1, 2, 3, 4, 5, 6, 7",
            "def helper(n): return [n]",
            learn(
                "n = 9\n    return [globals()['A'], globals().get('B'), getattr(__main__, 'C'), __main__.D,"
                " sys.modules['__main__'].E, eval('F + 1'), 'G' in globals(), 'H' in globals(), eval('helper(n)')]"
            ),
        ],
        [1, 2, 3, 4, 5, 7, True, False, [9]],
    ),
}  # fmt: skip

# Each case: cells, and words of the message; {n} stands for the number of its n-th cell.
REFUSED = {
    "a random value": (
        [f"{BASE}\nimport random\nMODEL = [random.random() for _ in range(3)]", learn("return MODEL")],
        ["Learn cannot be carried into a job: In[{1}], line 4 uses `MODEL`, which In[{0}], line 3 computes while it runs: MODEL = [random.random() for _ in range(3)].", "make `MODEL` a Param of Learn, or move the computation into a function"],
    ),
    "an open file": (
        [f"{BASE}\nlog = open('/dev/null')", learn("log.write('x')")],
        ["In[{1}], line 4 uses `log`, which In[{0}], line 2 computes while it runs: log = open('/dev/null')"],
    ),
    "get_ipython": ([BASE, learn("get_ipython()")], ["`get_ipython`, which exists only in a notebook's kernel"]),
    "display": ([BASE, learn("display(1)")], ["`display`, which exists only in a notebook's kernel"]),
    "what a cell put out": ([BASE, "1 + 1", learn("return Out, _")], ["`Out`"]),
    "a closure": (
        [f"{BASE}\ndef make(n):\n  return lambda: n", "closed = make(7)", learn("return closed()")],
        ["In[{2}], line 4 uses `closed`, which In[{1}], line 1 computes while it runs: closed = make(7)", "Param of Learn", "into a function"],
    ),
    "a class of a closure": (
        [f"{BASE}\ndef make(n):\n  class Learn(Task):\n    def execute(self): return n\n  return Learn", "Learn = make(7)"],
        ["make.<locals>.Learn", "Define it at the top level of a cell, and make what varies a Param"],
    ),
    "a class in a loop": (
        [f"{BASE}\nfor n in range(2):\n  class Learn(Task):\n    def execute(self): return 1"],
        ["Learn cannot be carried into a job", "In[{0}], line 2 computes while it runs: for n in range(2)"],
    ),
    "exec": (
        [BASE, "exec('class Learn(Task):\\n  def execute(self): return 1')"],
        ["Learn cannot be carried into a job: its source is in no cell (made by exec(), type() or a tool of its own?). Write it as a class statement in a cell"],
    ),
    "type()": (
        [BASE, learn("pass"), "Learn = type('Learn', (Task,), {'execute': lambda self: 1})"],
        ["Learn cannot be carried into a job", "type()"],
    ),
    "a shell command": (
        [f"{BASE}\nfiles = !ls", learn("return files")],
        ["`files`, which In[{0}], line 2 computes while it runs", "getoutput"],
    ),
    "a value set in %%time": (
        ["%%time\nimport time\n" + BASE + "\nnow = time.time()", learn("return now")],
        ["`now`, which In[{0}], line 4 computes while it runs: now = time.time()"],
    ),
    "a value that was awaited": (
        [f"{BASE}\nimport asyncio\nnow = await asyncio.sleep(0, 3)", learn("return now")],
        ["`now`, which In[{0}], line 3 computes while it runs: now = await asyncio.sleep(0, 3)"],
    ),
    "a large literal": (
        [BASE, f"TABLE = {list(range(20000))!r}", learn("return TABLE[1]")],
        ["In[{2}], line 4 uses `TABLE`, which In[{1}], line 1 writes out in 128,890 characters", "make `TABLE` a Param of Learn", "into a function"],
    ),
    "a secret": (
        [f"{BASE}\nAPI_KEY = 'abcdefgh12'", learn("return API_KEY")],
        ["`API_KEY`, which looks like a secret", "Read it from the environment inside the function"],
    ),
    "a value that changed": (
        [f"{BASE}\nN = 3", learn("return N"), "globals()['N'] = 4"],
        ["`N`, which In[{0}], line 2 sets to 3, but is 4 now"],
    ),
    "a method that was replaced": (
        [BASE, learn("return 1"), "Learn.execute = lambda self: 2"],
        ["method execute was replaced after In[{1}], line 1 had defined the class"],
    ),
    "two versions of one name at once": (
        [BASE, "def f(): return 1", "class A(Config):\n  x: Param[int] = 1\n  g = f", "def f(): return 2", learn("return f()", "a: Param[A]")],
        ["A.g (In[{2}], line 1) is an earlier f(), and would be"],
        "Learn.C(a=A.C())",
    ),
    "a class decorator that was defined anew": (
        [BASE, "def deco(c):\n  c.g = lambda self: 1\n  return c", f"@deco\n{learn('return self.g()')}", "def deco(c):\n  c.g = lambda self: 2\n  return c"],
        ["In[{2}], line 1 was executed with the `deco` of In[{1}], line 1, and a job would execute it with that of In[{3}], line 1. Run In[{2}] again"],
    ),
    "an argument of a decorator that changed": (
        [BASE, "KK = 1\ndef dk(k):\n  def d(f):\n    return lambda *a: f(*a) + k\n  return d", "@dk(KK)\ndef f(): return 0", "KK = 5", learn("return f()")],
        ["In[{2}], line 1 was executed with the `KK` of In[{1}], line 1", "that of In[{3}], line 1"],
    ),
    "a descriptor's class that was defined anew": (
        [BASE, "class D:\n  def __get__(self, o, t=None): return 1", learn("return self.d", "d = D()"), "class D:\n  def __get__(self, o, t=None): return 2"],
        ["In[{2}], line 1 was executed with the `D` of In[{1}], line 1"],
    ),
    "a factory that was defined anew": (
        [f"{BASE}\nimport dataclasses\ndef make(): return [1]", "@dataclasses.dataclass\nclass P:\n  x: list = dataclasses.field(default_factory=make)", "def make(): return [2]", learn("return P().x")],
        ["In[{1}], line 1 was executed with the `make` of In[{0}], line 3"],
    ),
    "a field of a dataclass that was set back": (
        [f"{BASE}\nimport dataclasses\nK = 1", "@dataclasses.dataclass\nclass P:\n  x: int = K\n  def f(self): return self.x", "K = 2\nP.x = 2", learn("return P().f()")],
        ["In[{1}], line 1 was executed with the `K` of In[{0}], line 3"],
    ),
    "defaults that were set": (
        [BASE, "def f(x=1): return x", "f.__defaults__ = (2,)", learn("return f()")],
        ["a default of f() (In[{1}], line 1) is 2, and would be 1 if it were made again"],
    ),
    "keyword defaults that were changed": (
        [BASE, "def f(*, x=1): return x", "f.__kwdefaults__['x'] = 2", learn("return f()")],
        ["a default of f() (In[{1}], line 1) is 2, and would be 1 if it were made again"],
    ),
    "an attribute that is set in a loop": (
        [BASE, learn("return self.w", "w = object()"), "for n in range(2): Learn.w = n"],
        ["In[{2}], line 1 changes Learn.w after In[{1}], line 1 had defined Learn", "run In[{1}] again"],
    ),
    "an attribute that is gone": (
        [BASE, learn("return hasattr(self, 'w')", "w = object()"), "del Learn.w"],
        ["In[{2}], line 1 changes Learn.w after In[{1}], line 1 had defined Learn"],
    ),
    "a table that a loop computes": (
        [f"{BASE}\ndef f(n): return n\nREG = []\nfor n in range(2): REG.append(f(n))", learn("return REG")],
        ["`REG`, which In[{0}], line 4 changes while it runs: for n in range(2): REG.append(f(n))", "move what makes it into a function"],
    ),
    "a counter that was counted on twice": (
        [f"{BASE}\nX = 1", "X += 1", "X += 1 ", learn("return X")],
        ["`X`, which In[{2}], line 1 computes while it runs: X += 1"],
    ),
    "what a function that was called has set": (
        [f"{BASE}\nclass A: pass", learn("return A.w"), "def setup(): A.w = 5\nsetup()"],
        ["it needs `A`, in which A.w was set to 5 after In[{0}], line 2 had defined the class. Set it in the class statement, and run that cell again"],
    ),
    "an object that a function that was called has set": (
        [f"{BASE}\nclass W: pass\nclass A: pass", learn("return hasattr(A, '_w')"), "def setup(c): c._w = W()\nsetup(A)"],
        ["it needs `A`, in which A._w was set to a W after In[{0}], line 3 had defined the class"],
    ),
    "an object that a function has set on the task": (
        [BASE, learn("return hasattr(self, 'w')"), "def setup(c): c.w = object()\nsetup(Learn)"],
        ["it is a class in which Learn.w was set to a object after In[{1}], line 1"],
    ),
    "what a function that was called has set on a function": (
        [f"{BASE}\nimport functools\ndef d(f):\n  @functools.wraps(f)\n  def g(): return f()\n  return g\n@d\ndef f(): return f.k", learn("return f()"), "def setup(): f.k = 5\nsetup()"],
        ["it needs `f`, which got attributes (k) after In[{0}], line 7"],
    ),
    "what a function that was called has put into a table": (
        [f"{BASE}\nR = {{}}\nN = 1", learn("return R, N"), "def setup():\n  global N\n  R['a'] = N = 5\nsetup()"],
        ["`R`, which In[{0}], line 2 sets to {{}}, but is {{'a': 5}} now", "run In[{0}] again"],
    ),
    "an instance of a dataclass that was defined anew": (
        [f"{BASE}\nimport dataclasses", "@dataclasses.dataclass(frozen=True)\nclass S:\n  n: int\n  def f(self): return 1", "CFG = S(3)", "@dataclasses.dataclass(frozen=True)\nclass S:\n  n: int\n  def f(self): return 2", learn("return CFG.f()")],
        ["`CFG`, which In[{2}], line 1 sets to S(3), but is of an earlier S now", "run In[{2}] again"],
    ),
    "an instance that is computed": (
        [f"{BASE}\nimport dataclasses, random\n@dataclasses.dataclass\nclass S:\n  n: int = 0\n  def __post_init__(self): self.n = random.random()", "CFG = S()", learn("return CFG.n")],
        ["`CFG`, which In[{1}], line 1 computes while it runs: CFG = S()"],
    ),
    "a registry filled twice": (
        [f"{BASE}\nREG = []", "def f(): return 1", "REG.append(f)", "REG.append(f)", learn("return len(REG)")],
        ["`REG`, which In[{0}], line 2 sets to []"],
    ),
    "instances in a registry of a class": (
        [BASE, "class Base:\n  REG = []\n  def f(self): return len(self.REG)", "class W:\n  def f(self): pass\nfor n in range(2): Base.REG.append(W())", learn("return Base().f()")],
        ["In[{2}], line 3 changes Base.REG after In[{1}], line 1 had defined it"],
    ),
    "an enum defined anew, which the code finds and the parameter does not": (
        [f"{BASE}\nimport enum", "class Kind(enum.Enum):\n  A = 1", learn("return [self.kind.value, Kind.A.value]", "kind: Param[Kind] = Kind.A"), "class Kind(enum.Enum):\n  A = 2"],
        ["In[{2}], line 4 uses `Kind`, which is that of In[{3}], line 1 by now, and a job would have that of In[{1}], line 1. If the new one is meant, run In[{2}] again"],
    ),
    "a configuration whose class was defined anew, which the code finds": (
        [BASE, "class M(Config):\n  x: Param[int] = 1\n  def f(): return 1", "m = M.C()", "class M(Config):\n  x: Param[int] = 1\n  def f(): return 2", "def h(): return M.f()", learn("return h()", "m: Param[M]")],
        ["In[{4}], line 1 uses `M`, which is that of In[{3}], line 1 by now", "that of In[{1}], line 1. If the new one is meant, make the configurations of M again"],
        "Learn.C(m=m)",
    ),
    "a task whose class was defined anew, which the code finds": (
        [BASE, "class Learn(Task):\n  K = 1\n  def execute(self): return Learn.K", "First = Learn", "class Learn(Task):\n  K = 2\n  def execute(self): return Learn.K"],
        ["In[{1}], line 3 uses `Learn`, which is that of In[{3}], line 1 by now"],
        "First.C()",
    ),
}  # fmt: skip

# Each case: cells, what the job computes (as the kernel would), words of the warning, and what is
# done about it, and what the job of the next computes.
WARNED = {
    "an enum of a parameter": (
        [f"{BASE}\nimport enum", "class Kind(enum.Enum):\n  A = 1", learn("return self.kind.value", "kind: Param[Kind] = Kind.A"), "class Kind(enum.Enum):\n  A = 2"],
        1,
        "Kind was defined anew by In[{3}], line 1, and the job still has that of In[{1}], line 1. If the new one is meant, run In[{2}] again.",
        {2: 2},
    ),
    "a base class, which the code finds too": (
        [BASE, "class D:\n  def f(self): return 1", "class E(D): pass", "class D:\n  def f(self): return 2", learn("return [E().f(), D().f()]")],
        [1, 2],
        "D was defined anew by In[{3}], line 1, and the job still has that of In[{1}], line 1. If the new one is meant, run In[{2}] again.",
        {2: [2, 2]},
    ),
    "a dataclass that another is derived from": (
        [f"{BASE}\nimport dataclasses", "@dataclasses.dataclass\nclass D:\n  x: int = 1", "@dataclasses.dataclass\nclass E(D): pass", "@dataclasses.dataclass\nclass D:\n  x: int = 2", learn("return E().x")],
        1,
        "D was defined anew by In[{3}], line 1",
        {2: 2},
    ),
    "a configuration": (
        [BASE, "class M(Config):\n  def f(self): return 1", "m = M.C()", "class M(Config):\n  def f(self): return 2", learn("return self.m.f()", "m: Param[M]")],
        1,
        "M was defined anew by In[{3}], line 1, and the job still has that of In[{1}], line 1. If the new one is meant, make the configurations of M again.",
        {2: 2},
        "Learn.C(m=m)",
    ),
    "a cache that a function has filled": (
        [f"{BASE}\nCACHE = {{}}", "def f(n):\n  if n not in CACHE: CACHE[n] = n + 1\n  return [CACHE[n], len(CACHE)]", "f(2)", learn("return f(3)")],
        [4, 1],
        "`CACHE`, which In[{0}], line 2 sets to {{}}, but is {{2: 3}} now: functions of the job change it, and there it begins anew.",
        {0: [4, 1]},
    ),
    "a counter, and what is made when it is asked for": (
        [f"{BASE}\nN = 0\nMODEL = None", "def get():\n  global N, MODEL\n  N += 1\n  MODEL = MODEL or [N]\n  return [N, MODEL]", "get()", learn("return get()")],
        [1, [1]],
        "`N`, which In[{0}], line 2 sets to 0, but is 1 now: functions of the job change it",
        {0: [1, [1]]},
    ),
    "what a class counts": (
        [BASE, "class A:\n  n = 0\n  made = []\n  def __init__(self):\n    A.n += 1\n    self.made.append(A.n)", "A()", learn("A(); return [A.n, A.made]")],
        [1, [1]],
        "`A`, in which A.n (In[{1}], line 1) is 1, and would be 0 if it were made again: functions of the job change it, and there it begins anew.",
        {1: [1, [1]]},
    ),
    "what a function counts of itself": (
        [BASE, "def f():\n  f.n += 1\n  return f.n\nf.n = 0", "f()", learn("return f()")],
        1,
        "`f`, which got attributes (n) after In[{1}], line 1: functions of the job change it",
        {1: 1},
    ),
    "an object that a function may have set": (
        [f"{BASE}\nclass W:\n  def __init__(self, n): self.n = n", "class A:\n  w = W(1)", "def setup(): A.w = W(1)\nsetup()", learn("return A.w.n")],
        1,
        "In[{2}], line 1 may have set A.w when it was called: a job makes it as the class statement says.",
        {},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CARRIED)
def test_the_job_computes_what_the_cells_say(table, case):
    cells, value, make = CARRIED[case]
    table.cells(cells)
    assert table.value(make) == value


@pytest.mark.parametrize("case", REFUSED)
def test_the_refusal_names_cell_variable_and_way_out(table, case):
    cells, words, *make = REFUSED[case]
    numbers = table.cells(cells)
    error = table.kernel.fails(f"_xp.submit({make[0] if make else 'Learn.C()'});").error
    assert error.startswith("CarrierError: ")
    assert [w for w in (word.format(*numbers) for word in words) if w not in error] == [], error
    assert not list(table.lab.workspace.glob(f"jobs/case{table.count}.*"))


@pytest.mark.parametrize("case", WARNED)
def test_what_is_carried_with_a_warning(table, case):
    """The job computes what the kernel would; once the advice is followed, with the new code."""
    cells, value, words, again, *make = WARNED[case]
    numbers = table.cells(cells)
    (make,) = make or ["Learn.C()"]
    words = words.format(*numbers)
    submit = f"import json; _run = _xp.submit({make}); print(json.dumps(_run.result()))"
    said = table.kernel.run(submit)
    assert "UserWarning: " in said.stderr
    assert words in said.stderr
    assert json.loads(said.stdout) == value
    for number, changed in again.items():
        table.kernel.run(f"{cells[number]}\n_xp = _xpm.start(_xp.name + '-again')")
        said = table.kernel.run(submit)
        assert "UserWarning" not in said.stderr
        assert json.loads(said.stdout) == changed


def test_a_computed_name_is_warned_of(table):
    table.cells([f"{BASE}\nX = 3", learn("return globals().get('x'.upper())")])
    said = table.kernel.run("import warnings; _run = _xp.submit(Learn.C()); print(_run.result())")
    assert "UserWarning: In[" in said.stderr
    assert "looks up a name by a text that it computes (globals().get('x'.upper()))" in said.stderr
    assert said.stdout == "None\n"


def test_what_is_changed_between_two_submissions_is_seen(table):
    """What was carried a moment ago is not taken for what there is now."""
    head = f"{BASE}\nimport dataclasses\n@dataclasses.dataclass\nclass S:\n  n: int = 1\nCFG = S()"
    table.cells([head, learn("return CFG.n", "i: Param[int] = 0"), "CFG.n = 2"])
    assert table.value() == 2
    table.kernel.run("def setup(): CFG.n = 3\nsetup()")
    assert "`CFG`" in table.kernel.fails("_xp.submit(Learn.C(i=1));").error
    cells = [
        f"{BASE}\nimport abc\nclass Base(abc.ABC): pass\nREG = []",
        "class X(Base): pass",
        "class Z: pass",
    ]
    body = "return [len(REG), isinstance(Z(), Base), sorted(c.__name__ for c in Base.__subclasses__())]"
    table.cells([*cells, learn(body, "n: Param[int]")])
    run = "import json\nprint(json.dumps(_xp.submit(Learn.C(n={})).result()))"
    said = []
    for n, change in enumerate(["", "REG.append(X)", "Base.register(Z)", "class Y(Base): pass"]):
        table.kernel.run(change)
        said.append(json.loads(table.kernel.run(run.format(n)).stdout.splitlines()[-1]))
    assert said == [[0, False, ["X"]], [1, False, ["X"]], [1, True, ["X"]], [1, True, ["X", "Y"]]]


EXEC = "class Learn(Task):\n  __carrier__ = 'pickle'\n  model: Param[Model]\n  def execute(self): return [isinstance(self.model, Model), helper(self.model.n)]"
PICKLED = {
    "a class made by exec, beside one of a cell": [
        BASE,
        "class Model(Config):\n  n: Param[int] = 2",
        "def helper(n): return n + 1",
        f"exec({EXEC!r})",
    ],
    "a class of a cell that uses one made by exec": [
        BASE,
        "exec('class Model(Config):\\n  __carrier__ = \"pickle\"\\n  n: Param[int] = 2')",
        "def helper(n): return n + 1",
        EXEC.replace("__carrier__ = 'pickle'", "pass"),
    ],
    "both made by exec": [
        BASE,
        "exec('class Model(Config):\\n  __carrier__ = \"pickle\"\\n  n: Param[int] = 2')",
        f"def helper(n): return n + 1\nexec({EXEC!r})",
    ],
    "a class of a function, with what it holds": [
        BASE,
        "class Model(Config):\n  n: Param[int] = 2",
        "def make(k):\n  class Learn(Task):\n    __carrier__ = 'pickle'\n    model: Param[Model]\n"
        "    def execute(self): return [isinstance(self.model, Model), self.model.n + k]\n  return Learn",
        "Learn = make(1)",
    ],
}


@pytest.mark.parametrize("case", PICKLED)
def test_what_asks_for_it_is_pickled_and_says_so(table, case):
    table.cells(PICKLED[case])
    assert table.value("Learn.C(model=Model.C())", pickled=True) == [True, 3]
    text = table.script.read_text()
    assert "# --- source unknown\n# " in text
    assert "was carried by cloudpickle, as it asks for" in text
    record = json.loads((table.script.parent / ".experimaestro" / "job.json").read_text())
    unknown = record["code"]["unknown"]
    assert unknown.keys() <= {"Model", "Learn", "make.<locals>.Learn"}
    shown = table.kernel.run("_run.job").displays[-1]
    assert "(source unknown)" in shown["text/plain"]
    assert "unknown, pickled: " in shown["text/html"]
    panel = table.kernel.run("_xp").displays
    assert any("source unknown" in shown.get("text/html", "") for shown in panel)
    done = subprocess.run(
        [sys.executable, table.script.name], cwd=table.script.parent, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr  # by hand, too


def test_what_asks_for_it_and_has_a_source_is_carried_by_it(table):
    table.cells([BASE, learn("return 1", "__carrier__ = 'pickle'")])
    assert table.value() == 1


def test_what_cannot_be_pickled_either(table):
    text = learn("return log.name", "__carrier__ = 'pickle'")
    table.cells([f"{BASE}\nlog = open('/dev/null', 'w')", f"exec({text!r})"])
    error = table.kernel.fails("_xp.submit(Learn.C());").error
    assert "its source cannot be found, and cloudpickle cannot take it: " in error
    table.cells([BASE, learn("return 1", "__carrier__ = 'jar'")])
    error = table.kernel.fails("_xp.submit(Learn.C());").error
    assert 'Learn.__carrier__ is "source" (the default) or "pickle", not \'jar\'' in error


SCRIPT = """
# %%
import enum
from xpm_nb import Config, Param, Task, start

N = 3

# %%
class Kind(enum.Enum):
    A = 1

class Model(Config):
    kind: Param[Kind] = Kind.A

# %%
def helper():
    return N

class Learn(Task):
    model: Param[Model]

    def execute(self):
        return [helper(), self.model.kind.name]

# %%
xp = start("script")
print(xp.submit(Learn.C(model=Model.C())).result())
"""


def ran(shared_lab, words, text=None):
    env = shared_lab.env | {"XPM_WORKSPACE": str(shared_lab.path / "scripts" / "ws")}
    done = subprocess.run(
        words, cwd=shared_lab.path, env=env, input=text, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "[3, 'A']" in done.stdout, done.stderr + done.stdout
    (script,) = (shared_lab.path / "scripts").glob("ws/jobs/script.learn/*/learn.py")
    text = script.read_text()
    for path in sorted((shared_lab.path / "scripts").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    return text


@pytest.mark.parametrize("tool", ["python", "IPython"])
def test_a_notebook_that_became_a_script(shared_lab, tool):
    path = shared_lab.path / "a notebook.py"
    path.write_text(SCRIPT)
    words = [sys.executable, *(["-m", tool] if tool == "IPython" else []), str(path)]
    assert "# --- a notebook.py\nimport enum\n" in ran(shared_lab, words)


@pytest.mark.parametrize("words", [["-c"], ["-Ic"], ["-W", "default", "-Xutf8", "-c"]], ids=str)
def test_code_of_a_command_line(shared_lab, words):
    root = os.path.dirname(os.path.dirname(os.path.dirname(__file__)))
    text = f"import sys; sys.path.append({root!r})\n{SCRIPT}"
    carried = ran(shared_lab, [sys.executable, *words, text, "an argument", "-c", "pass"])
    assert "# --- python -c\nimport enum\n" in carried


def test_cells_of_a_terminal(shared_lab):
    cells = [cell.strip().replace("\n\n", "\n") for cell in SCRIPT.split("# %%\n")]
    words = [sys.executable, "-m", "IPython", "--simple-prompt", "--no-banner", "--no-confirm-exit"]
    carried = ran(shared_lab, words, "\n\n".join(cells) + "\n\n")
    assert "# --- In[1]\nimport enum\n" in carried
