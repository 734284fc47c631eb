package flow

// CountEverySupport switches off the distinct of a fold.
func CountEverySupport(o *Operator) { o.e.(interface{ everySupport() }).everySupport() }

func (s *stage[A, B]) everySupport() { s.core.(interface{ everySupport() }).everySupport() }

func (c *countBy[K, E]) everySupport()     { c.seen.everySupport = true }
func (t *topBy[K, E]) everySupport()       { t.seen.everySupport = true }
func (t *together[G, I, E]) everySupport() { t.seen.everySupport = true }
