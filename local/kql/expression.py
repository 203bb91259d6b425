class Expressions: pass
