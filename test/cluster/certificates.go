//go:build linux

package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"time"
)

// authority signs the cluster's certificates.
type authority struct {
	file        string // the path of its certificate
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// identity is whom a certificate is for.
type identity struct {
	name, group string
	addresses   []string // IP addresses and DNS names that it serves on
}

// newAuthority makes an authority and writes path.crt and path.key.
func newAuthority(path, name string) (authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return authority{}, err
	}
	template := certificate(identity{name: name})
	template.IsCA, template.BasicConstraintsValid = true, true
	template.KeyUsage |= x509.KeyUsageCertSign
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return authority{}, err
	}
	if err := writePair(path, der, key); err != nil {
		return authority{}, err
	}
	return readAuthority(path)
}

// readAuthority reads what newAuthority wrote.
func readAuthority(path string) (authority, error) {
	pair, err := tls.LoadX509KeyPair(path+".crt", path+".key")
	if err != nil {
		return authority{}, err
	}
	key, ok := pair.PrivateKey.(*ecdsa.PrivateKey)
	if !ok {
		return authority{}, fmt.Errorf("%s.key is a %T", path, pair.PrivateKey)
	}
	return authority{file: path + ".crt", certificate: pair.Leaf, key: key}, nil
}

// issue writes path.crt and path.key for the identity.
func (a authority) issue(path string, to identity) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := certificate(to)
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, &key.PublicKey, a.key)
	if err != nil {
		return err
	}
	return writePair(path, der, key)
}

// certificate is for both ends of a connection; it lives longer than any cluster.
func certificate(to identity) *x509.Certificate {
	serial, _ := rand.Int(rand.Reader, big.NewInt(1<<62)) // never fails, see crypto/rand
	c := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: to.name},
		NotBefore:    time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if to.group != "" {
		c.Subject.Organization = []string{to.group}
	}
	for _, address := range to.addresses {
		if ip := net.ParseIP(address); ip != nil {
			c.IPAddresses = append(c.IPAddresses, ip)
		} else {
			c.DNSNames = append(c.DNSNames, address)
		}
	}
	return c
}

func writePair(path string, der []byte, key *ecdsa.PrivateKey) error {
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	if err := os.WriteFile(path+".key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600); err != nil {
		return err
	}
	return os.WriteFile(path+".crt", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644)
}

// kubeconfig issues a certificate and writes the file by which the identity, and
// the users of tokens besides, reach the API server. A context is called as its user.
func (a authority) kubeconfig(path string, to identity, tokens ...tokenUser) error {
	if err := a.issue(path, to); err != nil {
		return err
	}
	const cluster = "test"
	users := []object{{"name": to.name, "user": object{"client-certificate": path + ".crt", "client-key": path + ".key"}}}
	for _, t := range tokens {
		users = append(users, object{"name": t.name, "user": object{"token": t.token}})
	}
	var contexts []object
	for _, user := range users {
		contexts = append(contexts, object{"name": user["name"], "context": object{"cluster": cluster, "user": user["name"]}})
	}
	return writeJSON(path, object{
		"apiVersion": "v1", "kind": "Config", "current-context": to.name,
		"clusters": []object{{"name": cluster, "cluster": object{"server": apiServer, "certificate-authority": a.file}}},
		"users":    users, "contexts": contexts,
	})
}
