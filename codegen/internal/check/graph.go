package check

import (
	"fmt"
	"go/ast"
	"go/constant"
	"go/token"
	"go/types"
	"slices"
	"strings"

	"github.com/martinelli-go/martinelli/codegen/internal/load"
)

// variables reads the package-level variables, nodes and rules, in the order of the source.
func (c *checker) variables() {
	scope := c.p.Types.Scope()
	var vars []*types.Var
	for _, name := range scope.Names() {
		if v, ok := scope.Lookup(name).(*types.Var); ok {
			vars = append(vars, v)
		}
	}
	slices.SortFunc(vars, func(a, b *types.Var) int { return load.InSource(c.program.Fset, a.Pos(), b.Pos()) })
	names := map[string]string{}
	for _, v := range vars {
		t := v.Type()
		if !load.IsShared(t) && !load.IsRule(t) {
			continue
		}
		call := c.declaration(v)
		if call == nil {
			continue
		}
		called := ""
		switch {
		case load.IsRule(t):
			if called = c.declaredName(v, call); called != "" {
				c.m.Rules = append(c.m.Rules, &Rule{v.Name(), called, v.Pos()})
			}
		case isNode(t):
			called = c.node(v, call)
		default:
			called = c.variable(v, call)
		}
		if called == "" {
			continue
		}
		if other := names[called]; other != "" {
			c.report(v.Pos(), "%s and %s both have the name %q: names are unique in a cluster, so give one of them another", other, v.Name(), called)
		}
		names[called] = v.Name()
	}
}

func isNode(t types.Type) bool {
	_, ok := load.Is(t, flowPath, "Node")
	return ok
}

// declaration returns the call that declares v; nil if v is another name of something declared elsewhere,
// or after a report.
func (c *checker) declaration(v *types.Var) *ast.CallExpr {
	init := c.inits[v]
	if init == nil {
		c.report(v.Pos(), "%s is not declared by a call of its own, so nothing can be known of it: initialise it where it is declared", v.Name())
		return nil
	}
	init = ast.Unparen(init)
	switch x := init.(type) {
	case *ast.Ident, *ast.SelectorExpr:
		return nil
	case *ast.CallExpr:
		if f := callee(c.p.Info, x); f != nil && f.Pkg() != nil {
			switch f.Pkg().Path() {
			case variablePath, flowPath, dataflowPath:
				return x
			}
		}
	}
	c.report(init.Pos(), "%s must be declared by a direct call of package variable, flow or dataflow, so that its name and functions can be read", v.Name())
	return nil
}

// callee returns the declared function or method that is called, nil for anything else.
func callee(info *types.Info, call *ast.CallExpr) *types.Func {
	return function(info, call.Fun)
}

func function(info *types.Info, e ast.Expr) *types.Func {
	switch x := ast.Unparen(e).(type) {
	case *ast.Ident:
		f, _ := info.Uses[x].(*types.Func)
		return f
	case *ast.SelectorExpr:
		f, _ := info.Uses[x.Sel].(*types.Func)
		return f
	case *ast.IndexExpr:
		return function(info, x.X)
	case *ast.IndexListExpr:
		return function(info, x.X)
	}
	return nil
}

// declaredName returns the name that a declaration gives: its first argument.
func (c *checker) declaredName(v *types.Var, call *ast.CallExpr) string {
	if len(call.Args) == 0 {
		return ""
	}
	value := c.p.Info.Types[call.Args[0]].Value
	if value == nil || value.Kind() != constant.String {
		c.report(call.Args[0].Pos(), "the name of %s must be a constant, since it is known to all nodes", v.Name())
		return ""
	}
	name := constant.StringVal(value)
	if name == "" {
		c.report(call.Args[0].Pos(), "%s has an empty name: give it one that is unique in the cluster", v.Name())
	}
	return name
}

// variable reads a variable.Var or variable.Family.
func (c *checker) variable(v *types.Var, call *ast.CallExpr) string {
	args, isVar := load.Is(v.Type(), variablePath, "Var")
	m := &Variable{Name: v.Name(), Pos: v.Pos()}
	suffix := ""
	inner := call
	if !isVar {
		args, _ = load.Is(v.Type(), variablePath, "Family")
		c.keyType(v.Pos(), "the key of "+v.Name(), args[0])
		args = args[1:]
		suffix = "By"
		if len(call.Args) == 1 {
			in, ok := ast.Unparen(call.Args[0]).(*ast.CallExpr)
			if !ok {
				c.report(call.Args[0].Pos(), "%s must be declared in one go, variable.By[K](variable.Set[E](\"name\")), so that its name can be read", v.Name())
				return ""
			}
			inner = in
		}
	}
	m.Called = c.declaredName(v, inner)
	ptr, ok := types.Unalias(args[0]).(*types.Pointer)
	if !ok {
		c.unknownHandle(v, args[0])
		return m.Called
	}
	handle, ok := types.Unalias(ptr.Elem()).(*types.Named)
	if !ok || handle.Obj().Pkg() == nil || handle.Obj().Pkg().Path() != variablePath {
		c.unknownHandle(v, args[0])
		return m.Called
	}
	of := slices.Collect(handle.TypeArgs().Types())
	switch handle.Obj().Name() {
	case "SetHandle":
		m.Func = "SetKind"
		m.Codecs = []*Type{c.element(v.Pos(), "an element of "+v.Name(), of[0])}
	case "RegisterHandle":
		m.Func = "RegisterKind"
		m.Codecs = []*Type{c.element(v.Pos(), "the value of "+v.Name(), of[0])}
	case "CounterHandle":
		m.Func = "CounterKind"
	case "MapHandle":
		m.Func = "MapKind"
		m.Codecs = []*Type{c.element(v.Pos(), "a key of "+v.Name(), of[0]), c.element(v.Pos(), "a value of "+v.Name(), of[1])}
	case "Handle":
		m.Func = "OfKind"
		m.Lattices = c.lattices(c.lattice(v.Pos(), "the type of "+v.Name(), of[0]))
	case "EWFlagHandle", "DWFlagHandle", "BoundedCounterHandle":
		m.Func = strings.TrimSuffix(handle.Obj().Name(), "Handle") + "Kind"
	case "MVRegisterHandle":
		m.Func = "MVRegisterKind"
		m.Codecs = []*Type{c.element(v.Pos(), "the value of "+v.Name(), of[0])}
	case "GSetHandle", "RWSetHandle":
		m.Func = strings.TrimSuffix(handle.Obj().Name(), "Handle") + "Kind"
		m.Codecs = []*Type{c.element(v.Pos(), "an element of "+v.Name(), of[0])}
	case "ORMapHandle":
		m.Func = "ORMapKind"
		m.Codecs = []*Type{c.element(v.Pos(), "a key of "+v.Name(), of[0])}
		m.Lattices = c.lattices(c.store(v.Pos(), "a value of "+v.Name(), of[1]))
	default:
		c.unknownHandle(v, args[0])
		return m.Called
	}
	m.Func += suffix
	c.m.Variables = append(c.m.Variables, m)
	return m.Called
}

// replicas refuses numbers of replicas that are none, wherever the package gives them.
func (c *checker) replicas() {
	for _, f := range c.p.Files {
		ast.Inspect(f, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) != 1 {
				return true
			}
			to := callee(c.p.Info, call)
			if to == nil || to.Pkg() == nil || to.Pkg().Path() != variablePath || to.Name() != "Replicas" || to.Signature().Recv() != nil {
				return true
			}
			if many := c.p.Info.Types[call.Args[0]].Value; many != nil && many.Kind() == constant.Int && constant.Sign(many) < 1 {
				c.report(call.Args[0].Pos(), "variable.Replicas(%s) would keep a variable nowhere: say on how many silos it is, 1 or more, or variable.Everywhere", many)
			}
			return true
		})
	}
}

// lattices is a list of one, or none after a report.
func (c *checker) lattices(l *Lattice) []*Lattice {
	if l == nil {
		return nil
	}
	return []*Lattice{l}
}

func (c *checker) unknownHandle(v *types.Var, t types.Type) {
	c.report(v.Pos(), "%s is a variable of a kind that grainc does not know (%s): declare it by a function of package variable, and run the grainc of the module's version", v.Name(), c.show(t))
}

// node reads a flow.Node. Sources of variables come with the variable and are left out.
func (c *checker) node(v *types.Var, call *ast.CallExpr) string {
	f := callee(c.p.Info, call)
	if f.Name() == "From" || f.Name() == "Each" {
		return ""
	}
	args, _ := load.Is(v.Type(), flowPath, "Node")
	n := &Node{Name: v.Name(), Pos: v.Pos(), Called: c.declaredName(v, call)}
	n.Elem = c.element(v.Pos(), "an element of "+v.Name(), args[0])
	for _, arg := range call.Args[min(1, len(call.Args)):] {
		c.nodeArg(v, n, arg)
	}
	c.m.Nodes = append(c.m.Nodes, n)
	return n.Called
}

// nodeArg checks an argument of an operator: an input or a function.
func (c *checker) nodeArg(v *types.Var, n *Node, arg ast.Expr) {
	arg = ast.Unparen(arg)
	t := c.p.Info.TypeOf(arg)
	if t == nil {
		return
	}
	if isNode(t) {
		inner, ok := arg.(*ast.CallExpr)
		if !ok {
			return
		}
		if f := callee(c.p.Info, inner); f == nil || f.Name() != "From" && f.Name() != "Each" {
			c.report(arg.Pos(), "this input of %s is a node without a variable, so it could not be hosted: declare a package-level variable for it", v.Name())
		}
		return
	}
	if _, ok := t.Underlying().(*types.Signature); !ok {
		return
	}
	if lit, ok := arg.(*ast.FuncLit); ok {
		s := &source{c: c, node: v.Name(), seen: map[*types.Func]bool{}}
		n.functions = append(n.functions, s.literal(c.p, lit))
		n.functions = append(n.functions, s.rest()...)
		return
	}
	f := function(c.p.Info, arg)
	if f == nil {
		c.report(arg.Pos(), "a function of %s is neither a function literal nor a declared function, so what it does cannot be read: pass one of these", v.Name())
		return
	}
	if sel, ok := arg.(*ast.SelectorExpr); ok {
		if s := c.p.Info.Selections[sel]; s != nil && s.Kind() == types.MethodVal {
			c.report(arg.Pos(), "a function of %s is a method of a value, which it captures: use the method of the type, (T).%s, or a function literal", v.Name(), f.Name())
			return
		}
	}
	s := &source{c: c, node: v.Name(), seen: map[*types.Func]bool{}, at: arg.Pos()}
	s.call(f)
	n.functions = append(n.functions, f.FullName())
	n.functions = append(n.functions, s.rest()...)
}

// captures reports what a function of a graph refers to that may change, and lists what it calls and
// which constants it uses.
func (s *source) captures(p *load.Package, body ast.Node, at token.Pos) {
	ast.Inspect(body, func(x ast.Node) bool {
		id, ok := x.(*ast.Ident)
		if !ok {
			return true
		}
		switch o := p.Info.Uses[id].(type) {
		case *types.Var:
			s.variable(p, o, id, body, at)
		case *types.Func:
			s.call(o)
		case *types.Const:
			if o.Pkg() != nil {
				s.texts = append(s.texts, fmt.Sprintf("const %s.%s = %s", o.Pkg().Path(), o.Name(), o.Val().ExactString()))
			}
		}
		return true
	})
}

func (s *source) variable(p *load.Package, o *types.Var, id *ast.Ident, body ast.Node, at token.Pos) {
	if o.IsField() || o.Pkg() == nil {
		return
	}
	level := o.Parent() == o.Pkg().Scope()
	if level && s.c.program.Source[o.Pkg().Path()] == nil {
		return // of another module: binary.BigEndian, say
	}
	if !level && body.Pos() <= o.Pos() && o.Pos() < body.End() {
		return
	}
	pos, where := id.Pos(), "a function of "+s.node
	if p != s.c.p {
		pos = at
	}
	if at.IsValid() && !level {
		return
	}
	if s.within != "" {
		where += " (in " + s.within + ")"
	}
	s.c.report(pos, "%s uses the variable %s: functions of a graph are pure, since every node computes them by itself; pass it as data, or make it a constant or a function", where, strings.TrimPrefix(o.Name(), " "))
}
