"""sympy and numpy: functions that run text as code, or read and write files on the way."""

from genprm.sandbox.trials.attacks.kind import attacks

_RUN = "__import__('os').system(SHELL)"

_PAYLOADS: dict[str, str | tuple[str, ...]] = {
    "sympify": 'import sympy\nshell(lambda s: int(sympy.sympify("__import__(\'os\').system(" + repr(s) + ")")))',
    "sympify, opening a file": "import sympy\nprint(sympy.sympify(f'open({SECRET_FILE!r}).read()'))",
    "parse_expr": f"from sympy.parsing.sympy_parser import parse_expr\n"
    f"shell(lambda s: parse_expr({_RUN!r}, global_dict=globals(), transformations=()))",
    "lambdify": f"import sympy\nx = sympy.Symbol('x')\n"
    f"shell(lambda s: sympy.lambdify(x, sympy.Symbol({_RUN!r}), modules=[globals()])(0))",
    "lambdify, names of arguments": "import sympy\n"
    'x = sympy.Symbol(f"x=open({SECRET_FILE!r}).read()")\nprint(sympy.lambdify([x], 1)())',
    "autowrap": "import sympy\nfrom sympy.utilities.autowrap import autowrap\nx = sympy.Symbol('x')\n"
    "autowrap(x, backend='cython', tempdir=OPEN_FOLDER + '/' + TOKEN)\nwon()",
    "latex parser": "from sympy.parsing.latex import parse_latex\nprint(parse_latex(r'\\input{/etc/passwd}'))\n"
    "open('/etc/passwd')",
    "Symbol with hooks": "import sympy\nclass S(sympy.Symbol):\n"
    "    def _sympystr(self, p): return open(SECRET_FILE).read()\nprint(S('x'))",
    "f2py": "import numpy.f2py as f\nf.run_main([LIBRARY, '-m', TOKEN, '--build-dir', OPEN_FOLDER])\nwon()",
    "np.load with a pickle": "import numpy as np, io, os\nclass E:\n"
    "    def __reduce__(self): return os.system, (SHELL,)\nb = io.BytesIO()\n"
    "np.save(b, np.array([E()], dtype=object), allow_pickle=True)\nb.seek(0)\n"
    "shell(lambda s: np.load(b, allow_pickle=True)[0])",
    "numpy opens addresses": "import numpy as np\nprint(np.genfromtxt(f'http://127.0.0.1:{TCP[1]}/x'))",
}

ATTACKS = attacks("sympy and numpy", _PAYLOADS)
