package crdt

// All four types are lattices.
var (
	_ Lattice[*Set[string]]                 = (*Set[string])(nil)
	_ Lattice[*Counter]                     = (*Counter)(nil)
	_ Lattice[*Register[string]]            = (*Register[string])(nil)
	_ Lattice[*RegisterMap[string, string]] = (*RegisterMap[string, string])(nil)
)
