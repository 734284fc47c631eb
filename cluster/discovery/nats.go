package discovery

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// NATS yields the silos that announce themselves on a subject of a NATS server, under the name of their
// cluster. Nothing is stored there: who wants to know asks, and every silo that is there answers; besides,
// each says every third of TTL that it is there, and is forgotten by those who listen when it has not for
// that long. It needs a server, and neither JetStream nor a bucket.
//
// The subjects are martinelli.silos.NAME.who, for questions, and martinelli.silos.NAME.here. Who may publish
// on them can send others anywhere: restrict that by the server's permissions.
type NATS struct {
	// Servers are the URLs of one or more servers of one NATS cluster: nats://user:password@host:port, with
	// tls:// in place of nats:// where the connection has to be encrypted.
	Servers []string
	// Name is the name of the cluster: letters, digits, hyphens and underscores.
	Name string
	// TTL is for how long an announcement holds, from 1 second to 10 minutes. Default 15 seconds.
	TTL time.Duration
	// Options are added to those of each connection: certificates, credentials.
	Options []nats.Option
}

const (
	shortestTTL = time.Second
	longestTTL  = 10 * time.Minute
	defaultTTL  = 15 * time.Second

	// firstAnswer is how long a question waits for somebody, nextAnswer for somebody else after that.
	firstAnswer = time.Second
	nextAnswer  = 150 * time.Millisecond
	// connectTimeout bounds the wait for one server.
	connectTimeout = 2 * time.Second
	// maxAnnouncement bounds a message, in bytes.
	maxAnnouncement = 1 << 10
)

func parseNATS(scheme, text string) (Source, error) {
	refuse := func(reason string) (Source, error) {
		return nil, &FormError{redact(text), reason + "; the form is nats://host:port/name, with a comma between several hosts"}
	}
	rest, ok := strings.CutPrefix(text, scheme+"://")
	if !ok {
		return refuse("it does not begin with " + scheme + "://")
	}
	at := strings.LastIndexByte(rest, '@') + 1 // passwords may hold slashes
	slash := strings.IndexByte(rest[at:], '/')
	if slash < 0 || !isToken(rest[at+slash+1:]) {
		return refuse("the name of the cluster, letters, digits, hyphens and underscores, is missing after the host")
	}
	n := NATS{Name: rest[at+slash+1:]}
	for server := range strings.SplitSeq(rest[:at+slash], ",") {
		if _, _, err := splitAddress(server[strings.LastIndexByte(server, '@')+1:]); err != nil {
			return refuse(err.Error())
		}
		n.Servers = append(n.Servers, scheme+"://"+server)
	}
	return n, nil
}

// isToken says whether s can be a part of a subject.
func isToken(s string) bool { return isName(s) && !strings.Contains(s, ".") }

// redact takes what is before the last @ out of a URL: it may be a password.
func redact(url string) string {
	scheme, rest, ok := strings.Cut(url, "://")
	if i := strings.LastIndexByte(rest, '@'); ok && i >= 0 {
		return scheme + "://" + rest[i+1:]
	}
	return url
}

func (n NATS) String() string {
	var hosts []string
	scheme := "nats"
	for _, s := range n.Servers {
		var host string
		scheme, host, _ = strings.Cut(redact(s), "://")
		hosts = append(hosts, host)
	}
	return scheme + "://" + strings.Join(hosts, ",") + "/" + n.Name
}

func (n NATS) subject(what string) string { return "martinelli.silos." + n.Name + "." + what }

// announcement is the message by which a silo says that it is there; with a TTL of 0, that it is no more.
type announcement struct {
	Addr string `json:"addr"`
	TTL  int64  `json:"ttl_ms"`
}

// decodeAnnouncement reads a message from anybody. What it returns is well formed.
func decodeAnnouncement(b []byte) (a announcement, err error) {
	if len(b) > maxAnnouncement {
		return a, fmt.Errorf("a message of %d bytes is no announcement", len(b))
	}
	a.TTL = -1
	if err := json.Unmarshal(b, &a); err != nil {
		return a, err
	}
	if a.TTL < 0 { // a silo is not withdrawn by what somebody left out or misspelt
		return a, errors.New("a message without a TTL is no announcement")
	}
	_, _, err = splitAddress(a.Addr)
	return a, err
}

// ttl is for how long the announcement holds, within reason; 0 not at all.
func (a announcement) ttl() time.Duration {
	if a.TTL == 0 {
		return 0
	}
	return min(max(time.Duration(min(a.TTL, longestTTL.Milliseconds()))*time.Millisecond, shortestTTL), longestTTL)
}

// connect opens a connection, whose reconnects last as long as life, and which ctx bounds.
func (n NATS) connect(ctx, life context.Context, more ...nats.Option) (*nats.Conn, error) {
	if len(n.Servers) == 0 || !isToken(n.Name) {
		return nil, &SourceError{n.String(), errors.New("it has no Servers, or no Name of letters, digits, hyphens and underscores"), "give it both"}
	}
	d := &dialer{life: life}
	defer context.AfterFunc(ctx, d.abort)()
	options := append([]nats.Option{
		nats.Name("martinelli"), nats.SetCustomDialer(d), nats.Timeout(connectTimeout), nats.MaxReconnects(-1), nats.ReconnectWait(time.Second),
		nats.IgnoreAuthErrorAbort(), // who is let in again later goes on
		nats.ReconnectBufSize(-1),   // what was said while nobody heard is said anew
	}, more...)
	nc, err := nats.Connect(strings.Join(n.Servers, ","), append(options, n.Options...)...)
	if err == nil {
		return nc, nil
	}
	if cause := context.Cause(ctx); cause != nil {
		err = fmt.Errorf("%w (%w)", err, cause)
	}
	return nil, &SourceError{n.String(), err, "check the addresses of the NATS servers, that one runs, and what it asks for to let a client in"}
}

// dialer lets a context end a connection that is being opened.
type dialer struct {
	life context.Context
	mu   sync.Mutex
	over bool
	conn net.Conn
}

func (d *dialer) Dial(network, addr string) (net.Conn, error) {
	to := net.Dialer{Timeout: connectTimeout}
	conn, err := to.DialContext(d.life, network, addr)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.over {
		return nil, errors.Join(context.Canceled, conn.Close())
	}
	d.conn = conn
	return conn, nil
}

// abort ends what is being opened.
func (d *dialer) abort() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.over = true
	if d.conn != nil {
		_ = d.conn.Close() // who waits for it gets the error
	}
}

// listener hears what silos say of themselves.
type listener struct {
	source NATS
	nc     *nats.Conn
	inbox  string
	heard  chan *nats.Msg // 1,024: what is dropped beyond that is said again
	known  map[string]known
}

type known struct {
	ttl   time.Duration
	until time.Time
}

// listen connects, and asks who is there.
func (n NATS) listen(ctx context.Context, more ...nats.Option) (*listener, error) {
	nc, err := n.connect(ctx, ctx, more...)
	if err != nil {
		return nil, err
	}
	l := &listener{source: n, nc: nc, inbox: nc.NewInbox(), heard: make(chan *nats.Msg, 1024), known: map[string]known{}}
	for _, subject := range []string{n.subject("here"), l.inbox} {
		if _, err := nc.ChanSubscribe(subject, l.heard); err != nil {
			nc.Close()
			return nil, l.failed(err)
		}
	}
	if err := l.ask(); err != nil {
		nc.Close()
		return nil, err
	}
	return l, nil
}

func (l *listener) failed(err error) error {
	return &SourceError{l.source.String(), err, "check that the NATS server runs, and lets this client use " + l.source.subject(">") + " and inboxes"}
}

func (l *listener) ask() error {
	if err := l.nc.PublishRequest(l.source.subject("who"), l.inbox, nil); err != nil {
		return l.failed(err)
	}
	return nil
}

// gather waits for the answers to a question, until it has been quiet for a moment.
func (l *listener) gather(ctx context.Context) {
	quiet := time.NewTimer(firstAnswer)
	defer quiet.Stop()
	for {
		select {
		case m := <-l.heard:
			if nobody := l.hear(m); nobody && len(l.known) == 0 {
				return
			}
			if len(l.known) > 0 {
				quiet.Reset(nextAnswer)
			}
		case <-quiet.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

// hear takes note of a message, which anybody may have sent. It is true for the server's word that nobody
// listens to questions.
func (l *listener) hear(m *nats.Msg) (nobody bool) {
	if m.Header.Get("Status") == "503" && len(m.Data) == 0 {
		return m.Subject == l.inbox
	}
	a, err := decodeAnnouncement(m.Data)
	if err != nil {
		return false
	}
	ttl := a.ttl()
	_, had := l.known[a.Addr]
	switch {
	case ttl == 0:
		delete(l.known, a.Addr)
	case had || len(l.known) < maxSeeds:
		l.known[a.Addr] = known{ttl, time.Now().Add(ttl)}
	}
	return false
}

// forget drops who has been silent for too long. What waits to be heard was said in time: who watches may have
// been busy with what it was told.
func (l *listener) forget() {
	for range len(l.heard) {
		l.hear(<-l.heard)
	}
	for addr, k := range l.known {
		if time.Now().After(k.until) {
			delete(l.known, addr)
		}
	}
}

// renew gives everybody time to be heard again.
func (l *listener) renew() {
	for addr, k := range l.known {
		l.known[addr] = known{k.ttl, time.Now().Add(k.ttl)}
	}
}

func (l *listener) seeds() ([]string, error) {
	var seeds []string
	for addr := range l.known {
		seeds = append(seeds, addr)
	}
	if len(seeds) == 0 {
		return nil, &SourceError{l.source.String(), ErrNone, "no silo announces itself under that name: check the name, or start one"}
	}
	return tidy(seeds), nil
}

// Seeds asks who is there, and waits until the answers cease: up to a second, a sixth of one as a rule. It
// opens a connection for that.
func (n NATS) Seeds(ctx context.Context) ([]string, error) {
	l, err := n.listen(ctx, nats.NoReconnect())
	if err != nil {
		return nil, err
	}
	defer l.nc.Close()
	l.gather(ctx)
	seeds, err := l.seeds()
	switch {
	case err == nil:
		return seeds, nil
	case ctx.Err() != nil:
		return nil, l.failed(context.Cause(ctx))
	case !l.nc.IsConnected():
		return nil, l.failed(errors.New("the connection was lost"))
	case l.nc.LastError() != nil: // what is not allowed is told late, and only so
		return nil, l.failed(l.nc.LastError())
	}
	return nil, err
}

// Watch keeps a connection for as long as it runs. While that is broken, nobody is forgotten.
func (n NATS) Watch(ctx context.Context) iter.Seq2[[]string, error] {
	return func(yield func([]string, error) bool) {
		news := news{yield: yield}
		changed := make(chan struct{}, 1) // one: what it is now is looked at
		nudge := func() {
			select {
			case changed <- struct{}{}:
			default:
			}
		}
		for {
			l, err := n.listen(ctx, nats.DisconnectErrHandler(func(*nats.Conn, error) { nudge() }), nats.ReconnectHandler(func(*nats.Conn) { nudge() }))
			if err == nil {
				defer l.nc.Close()
				l.gather(ctx)
				l.follow(ctx, &news, changed)
				return
			}
			if ctx.Err() != nil || !news.tell(nil, err) || !sleep(ctx, time.Second) {
				return
			}
		}
	}
}

// follow tells what changes until ctx ends or nobody wants to know.
func (l *listener) follow(ctx context.Context, n *news, changed <-chan struct{}) {
	tick := time.NewTicker(shortestTTL / 2)
	defer tick.Stop()
	for connected := true; ; {
		seeds, err := l.seeds()
		if !connected {
			seeds, err = nil, l.failed(errors.New("the connection is broken"))
		}
		if ctx.Err() != nil || !n.tell(seeds, err) {
			return
		}
		select {
		case <-ctx.Done():
			return
		case m := <-l.heard:
			l.hear(m)
		case <-tick.C:
			if connected && len(changed) == 0 && l.nc.IsConnected() { // a connection that broke is looked at first
				l.forget()
			}
		case <-changed:
			if connected = l.nc.IsConnected(); connected {
				l.renew()
				_ = l.ask() // who does not hear it is heard within its TTL
			}
		}
	}
}

// flush waits until the server has read what was sent, for as long as a connection may take at most: package nats
// refuses contexts without a deadline.
func flush(ctx context.Context, nc *nats.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	return nc.FlushWithContext(ctx)
}

// Announce keeps a connection open until withdraw is called.
func (n NATS) Announce(ctx context.Context, addr string) (withdraw func(context.Context) error, err error) {
	if _, _, err := splitAddress(addr); err != nil {
		return nil, &FormError{addr, err.Error()}
	}
	ttl := min(max(cmp.Or(n.TTL, defaultTTL), shortestTTL), longestTTL)
	here, err := json.Marshal(announcement{addr, ttl.Milliseconds()})
	if err != nil {
		return nil, &FormError{addr, err.Error()}
	}
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	say := func(nc *nats.Conn) { _ = nc.Publish(n.subject("here"), here) } // what is not heard is said again
	nc, err := n.connect(ctx, life, nats.ReconnectHandler(say))
	if err != nil {
		end()
		return nil, err
	}
	l := &listener{source: n, nc: nc}
	questions, err := nc.Subscribe(n.subject("who"), func(m *nats.Msg) {
		if m.Reply != "" {
			_ = nc.Publish(m.Reply, here) // who asked asks again
		}
	})
	if err == nil {
		say(nc)
		if err = flush(ctx, nc); err == nil {
			err = nc.LastError() // the server refuses a subject after it was asked for
		}
	}
	if err != nil {
		end()
		nc.Close()
		return nil, l.failed(err)
	}
	var repeats sync.WaitGroup
	repeats.Go(func() {
		for sleep(life, ttl/3) {
			say(nc)
		}
	})
	var once sync.Once
	return func(ctx context.Context) error {
		once.Do(func() {
			end()
			repeats.Wait()
			defer nc.Close()
			gone, _ := json.Marshal(announcement{Addr: addr}) // an address encodes
			err = errors.Join(questions.Unsubscribe(), nc.Publish(n.subject("here"), gone))
			if err == nil {
				err = flush(ctx, nc)
			}
			if err != nil {
				err = l.failed(err)
			}
		})
		return err
	}, nil
}
