package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"

	"github.com/martinelli-go/martinelli/actor"
	"github.com/martinelli-go/martinelli/actor/certtest"
)

// certificates is a directory of certificates of one authority, by which both ends of a connection know
// each other; "" stands for none.
type certificates string

// The names of the certificates in it.
const (
	siloCert   = "silo"
	clientCert = "client"
)

// newCertificates fills a directory.
func newCertificates(dir string) (certificates, error) {
	authority, err := certtest.New(dir)
	if err != nil {
		return "", err
	}
	if _, _, err := authority.Issue(siloCert, actor.DefaultSiloName); err != nil {
		return "", err
	}
	if _, _, err := authority.Issue(clientCert); err != nil {
		return "", err
	}
	return certificates(dir), os.Rename(authority.File, filepath.Join(dir, "authority.pem"))
}

// files is how silos and clients are told.
func (c certificates) files(name string) actor.TLS {
	if c == "" {
		return actor.TLS{}
	}
	at := func(file string) string { return filepath.Join(string(c), file) }
	return actor.TLS{Cert: at(name + ".pem"), Key: at(name + ".key"), CA: at("authority.pem")}
}

// config is how gRPC is told. As with silos, both ends show a certificate, of TLS 1.3.
func (c certificates) config(name string) (*tls.Config, error) {
	files := c.files(name)
	cert, err := tls.LoadX509KeyPair(files.Cert, files.Key)
	if err != nil {
		return nil, err
	}
	ca, err := os.ReadFile(files.CA)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(ca) {
		return nil, fmt.Errorf("no certificate in %s", files.CA)
	}
	return &tls.Config{
		Certificates: []tls.Certificate{cert}, RootCAs: pool, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert,
		ServerName: actor.DefaultSiloName, MinVersion: tls.VersionTLS13,
	}, nil
}
