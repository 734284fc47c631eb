package actor

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"
)

// TLS names the files with which a node shows who it is and checks others. All
// nodes of a cluster trust the same CA. The zero value is no TLS; otherwise the
// three files are needed. They are looked at again with every connection:
// whoever replaces them (certificate and key one right after the other) changes
// what later connections use, without a restart. Files that cannot be read then
// are logged, and those before them stay in use. Connections that are open stay
// open, as they would with certificates that expire.
type TLS struct {
	// Cert and Key are this node's certificate, with those between it and the
	// CA, and its private key, in PEM.
	Cert, Key string
	// CA holds the certificates, in PEM, that those of all nodes derive from.
	CA string
	// SiloName is the DNS name that the certificates of silos bear, and no
	// others must: who shows one is a silo, who shows any other of the CA a
	// client. Addresses are not looked for in certificates, so that a silo may
	// move. Default "silo.martinelli".
	SiloName string
}

// DefaultSiloName is the DNS name in the certificates of silos unless TLS says
// otherwise.
const DefaultSiloName = "silo.martinelli"

// IsZero says that there is no TLS.
func (t TLS) IsZero() bool { return t.Cert == "" && t.Key == "" && t.CA == "" }

// Check reads the files and says what is wrong with them.
func (t TLS) Check() error {
	if t.IsZero() {
		return nil
	}
	_, err := newKeys(t, slog.Default())
	return err
}

// keys are the certificates in use, read again when their files change.
type keys struct {
	files    TLS
	siloName string
	logger   *slog.Logger

	mu   sync.Mutex
	read [3]stamp // of the files, when they were last tried
	cert *tls.Certificate
	pool *x509.CertPool
}

// stamp tells that a file has changed.
type stamp struct {
	size int64
	at   time.Time
}

func newKeys(files TLS, logger *slog.Logger) (*keys, error) {
	for _, f := range []struct{ field, path string }{{"Cert", files.Cert}, {"Key", files.Key}, {"CA", files.CA}} {
		if f.path == "" {
			return nil, fmt.Errorf("TLS.%s is empty: certificate, key and CA belong together", f.field)
		}
	}
	k := &keys{files: files, siloName: files.SiloName, logger: logger}
	if k.siloName == "" {
		k.siloName = DefaultSiloName
	}
	k.read = k.stamps()
	if err := k.load(); err != nil {
		return nil, err
	}
	return k, nil
}

func (k *keys) stamps() (s [3]stamp) {
	for i, path := range []string{k.files.Cert, k.files.Key, k.files.CA} {
		if info, err := os.Stat(path); err == nil {
			s[i] = stamp{info.Size(), info.ModTime()}
		}
	}
	return s
}

func (k *keys) load() error {
	cert, err := tls.LoadX509KeyPair(k.files.Cert, k.files.Key)
	if err != nil {
		return fmt.Errorf("certificate %s with key %s: %w", k.files.Cert, k.files.Key, err)
	}
	pem, err := os.ReadFile(k.files.CA)
	if err != nil {
		return fmt.Errorf("CA: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return fmt.Errorf("CA %s holds no certificate in PEM", k.files.CA)
	}
	k.cert, k.pool = &cert, pool
	return nil
}

// config is for one connection, at either end of it. The verification is ours,
// because which name a certificate must bear depends on what its owner says
// that it is.
func (k *keys) config() *tls.Config {
	k.mu.Lock()
	if now := k.stamps(); now != k.read {
		if err := k.load(); err != nil {
			k.logger.Error("the files of TLS have changed and cannot be used: the certificates read before stay in use", slog.Any("error", err))
		}
		k.read = now
	}
	cert, pool := k.cert, k.pool
	k.mu.Unlock()
	return &tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{*cert}, SessionTicketsDisabled: true,
		DynamicRecordSizingDisabled: true,                                               // no batch is read before its end
		ClientAuth:                  tls.RequireAnyClientCert, InsecureSkipVerify: true, // VerifyConnection verifies
		VerifyConnection: func(s tls.ConnectionState) error { return verify(s.PeerCertificates, pool) },
	}
}

var errNoCertificate = errors.New("no certificate was shown")

func verify(chain []*x509.Certificate, pool *x509.CertPool) error {
	if len(chain) == 0 {
		return errNoCertificate
	}
	between := x509.NewCertPool()
	for _, c := range chain[1:] {
		between.AddCert(c)
	}
	_, err := chain[0].Verify(x509.VerifyOptions{
		Roots: pool, Intermediates: between,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}, // a node accepts and dials with one certificate
	})
	return err
}

// isSilo says whether a certificate that was verified is a silo's.
func (k *keys) isSilo(c *x509.Certificate) bool { return c.VerifyHostname(k.siloName) == nil }

// principalOf names the owner of a certificate: its common name, or else the
// first of its alternative names.
func principalOf(c *x509.Certificate) string {
	switch {
	case c.Subject.CommonName != "":
		return c.Subject.CommonName
	case len(c.URIs) > 0:
		return c.URIs[0].String()
	case len(c.DNSNames) > 0:
		return c.DNSNames[0]
	case len(c.EmailAddresses) > 0:
		return c.EmailAddresses[0]
	}
	return ""
}

// Loopback says that a host:port is of this machine, and of no other's reach.
func Loopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
