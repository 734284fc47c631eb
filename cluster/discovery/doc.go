// Package discovery finds the addresses of silos to begin with: seeds. One seed that answers is enough,
// whoever was started first, so a source may be behind, and may name silos that are gone.
//
// A source is written as one line, which [Parse] reads:
//
//	10.0.0.1:7000,10.0.0.2:7000          a list                                         [Static]
//	dns:silos.example.com:7000           every A and AAAA record of a name              [DNS]
//	dns+srv:_silo._tcp.example.com       every SRV record of a name                     [SRV]
//	file:/etc/wine/silos                 a file of one address a line, # for comments   [File]
//	nats://10.0.0.9:4222/wine            silos that announce themselves over NATS       [NATS]
//
// A Kubernetes headless service is a name with both kinds of records:
// dns:silos.default.svc.cluster.local:7000, or dns+srv:_silo._tcp.silos.default.svc.cluster.local, whose
// records name the port, and each pod of a stateful set by a name that outlives its address.
//
// Seeds are read once, or followed:
//
//	source, err := discovery.Parse("dns:silos.example.com:7000")
//	seeds, err := source.Seeds(ctx)
//	for seeds, err := range source.Watch(ctx) { … }
//
// Files and NATS take announcements, from the silo itself or from whatever starts it:
//
//	withdraw, err := discovery.NATS{Servers: []string{"nats://10.0.0.9:4222"}, Name: "wine"}.Announce(ctx, s.Addr())
//	defer withdraw(ctx)
//
// What a source says is not trusted further than that it is well formed. Who may write to it sends clients
// and silos where they like.
package discovery
