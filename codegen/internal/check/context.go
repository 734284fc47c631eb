package check

import (
	"go/ast"
	"go/types"
)

// contexts warns of calls inside an atomic block that are given another context than the block's: they are no
// part of the block, or are refused because they are not.
func (c *checker) contexts() {
	if c.p.Info == nil {
		return
	}
	for _, f := range c.p.Files {
		ast.Inspect(f, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) != 3 {
				return true
			}
			to := callee(c.p.Info, call)
			if to == nil || to.Pkg() == nil || to.Pkg().Path() != txnPath || to.Name() != "Atomic" && to.Name() != "AtomicValue" {
				return true
			}
			if lit := c.literalOf(call.Args[2]); lit != nil {
				c.block(to.Name(), lit)
			}
			return true
		})
	}
}

// literalOf returns the function literal that an expression is, or that a variable was declared with.
func (c *checker) literalOf(e ast.Expr) *ast.FuncLit {
	e = ast.Unparen(e)
	if lit, ok := e.(*ast.FuncLit); ok {
		return lit
	}
	id, ok := e.(*ast.Ident)
	if !ok {
		return nil
	}
	v, ok := c.p.Info.Uses[id].(*types.Var)
	if !ok {
		return nil
	}
	if lit, ok := c.inits[v].(*ast.FuncLit); ok {
		return lit
	}
	for _, f := range c.p.Files {
		if f.FileStart > v.Pos() || v.Pos() >= f.FileEnd {
			continue
		}
		var found *ast.FuncLit
		ast.Inspect(f, func(n ast.Node) bool {
			var names, values []ast.Expr
			switch n := n.(type) {
			case *ast.AssignStmt:
				names, values = n.Lhs, n.Rhs
			case *ast.ValueSpec:
				for _, name := range n.Names {
					names = append(names, name)
				}
				values = n.Values
			}
			for i, name := range names {
				if id, ok := name.(*ast.Ident); ok && c.p.Info.Defs[id] == v && len(values) == len(names) {
					found, _ = ast.Unparen(values[i]).(*ast.FuncLit)
				}
			}
			return found == nil
		})
		return found
	}
	return nil
}

// block looks at the function of one atomic block.
func (c *checker) block(atomic string, lit *ast.FuncLit) {
	own := "give the parameter of the block's function a name, and pass that"
	if params := lit.Type.Params.List; len(params) == 1 && len(params[0].Names) == 1 && params[0].Names[0].Name != "_" {
		own = "pass " + params[0].Names[0].Name + ", which the block's function is given"
	}
	ast.Inspect(lit.Body, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		for _, arg := range call.Args {
			if t := c.p.Info.TypeOf(arg); t == nil || !isContext(t) {
				continue
			}
			switch arg := ast.Unparen(arg).(type) {
			case *ast.Ident:
				if o, ok := c.p.Info.Uses[arg].(*types.Var); ok && (o.Pos() < lit.Pos() || o.Pos() >= lit.End()) {
					c.outer(arg, atomic, arg.Name, own)
				}
			case *ast.SelectorExpr:
				if o, ok := c.p.Info.Uses[arg.Sel].(*types.Var); ok && o.IsField() || ok && o.Parent() == o.Pkg().Scope() {
					c.outer(arg, atomic, types.ExprString(arg), own)
				}
			case *ast.CallExpr:
				if f := callee(c.p.Info, arg); f != nil && f.Pkg() != nil && f.Pkg().Path() == "context" && (f.Name() == "Background" || f.Name() == "TODO") {
					c.outer(arg, atomic, types.ExprString(arg), own)
				}
			}
		}
		return true
	})
}

func (c *checker) outer(at ast.Expr, atomic, used, own string) {
	c.warn(at.Pos(), "%s comes from outside of the block of txn.%s in which it is passed on, so what gets it is no part of the block: %s", used, atomic, own)
}
