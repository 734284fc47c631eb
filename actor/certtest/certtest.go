// Package certtest makes certificates for tests: an authority of its own, for
// names that mean nothing elsewhere.
package certtest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"time"
)

// Authority signs certificates and keeps them as files in a directory.
type Authority struct {
	// File is the authority's own certificate, in PEM.
	File string

	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// New makes an authority that keeps its files in dir.
func New(dir string) (*Authority, error) {
	a := &Authority{File: filepath.Join(dir, "ca.pem"), dir: dir}
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: "tests"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	var err error
	a.cert, a.key, err = a.sign(template, "ca", nil, nil)
	return a, err
}

// Issue writes a certificate of that common name, which bears the DNS names,
// and its key, as name.pem and name.key. What was there is replaced.
func (a *Authority) Issue(name string, dns ...string) (cert, key string, err error) {
	_, _, err = a.sign(&x509.Certificate{Subject: pkix.Name{CommonName: name}, DNSNames: dns}, name, a.cert, a.key)
	return filepath.Join(a.dir, name+".pem"), filepath.Join(a.dir, name+".key"), err
}

func (a *Authority) sign(template *x509.Certificate, file string, parent *x509.Certificate, by *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	if parent == nil {
		parent, by = template, key
	}
	if template.SerialNumber, err = rand.Int(rand.Reader, big.NewInt(1<<62)); err != nil {
		return nil, nil, err
	}
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour)
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, by)
	if err != nil {
		return nil, nil, err
	}
	encoded, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, nil, err
	}
	for suffix, block := range map[string]*pem.Block{
		".key": {Type: "EC PRIVATE KEY", Bytes: encoded}, ".pem": {Type: "CERTIFICATE", Bytes: der},
	} {
		if err := os.WriteFile(filepath.Join(a.dir, file+suffix), pem.EncodeToMemory(block), 0o600); err != nil {
			return nil, nil, err
		}
	}
	cert, err := x509.ParseCertificate(der)
	return cert, key, err
}
