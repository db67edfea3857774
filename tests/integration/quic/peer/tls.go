package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
)

// tlsConfig is the same for both sides: what it presents, and what it verifies the other side with.
func tlsConfig(server bool) (*tls.Config, error) {
	config := &tls.Config{NextProtos: []string{*alpn}, ServerName: *name, MinVersion: tls.VersionTLS13}
	if *certificate != "" {
		pair, err := tls.LoadX509KeyPair(*certificate, *key)
		if err != nil {
			return nil, err
		}
		config.Certificates = []tls.Certificate{pair}
	}
	if *authority == "" {
		return config, nil
	}
	pem, err := os.ReadFile(*authority)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s: no certificate", *authority)
	}
	if server {
		config.ClientCAs, config.ClientAuth = pool, tls.RequireAndVerifyClientCert
	} else {
		config.RootCAs = pool
	}
	return config, nil
}
