package flow

// CountEverySupport switches off the distinct of a fold.
func CountEverySupport(o *Operator) { o.e.(interface{ everySupport() }).everySupport() }

func (s *stage[A, B]) everySupport() { s.core.(interface{ everySupport() }).everySupport() }

func (c *countBy[K, E]) everySupport()      { c.seen.everySupport = true }
func (t *topBy[K, E]) everySupport()        { t.seen.everySupport = true }
func (t *together[G, I, E]) everySupport()  { t.seen.everySupport = true }
func (f *groupFold[K, E, V]) everySupport() { f.seen.everySupport = true }

// NeedBoth makes a join forget an element that meets nobody.
func NeedBoth(o *Operator) { o.e.(interface{ needBoth() }).needBoth() }

func (d *duo[A, B, C]) needBoth()     { d.core.(interface{ setNeedBoth() }).setNeedBoth() }
func (j *join[K, A, B]) setNeedBoth() { j.needBoth = true }

// Eager makes every gate fire as soon as anything arrives.
func (n *Network) Eager() {
	for _, node := range n.nodes {
		node.gate.eager = true
	}
}
