//go:build linux

package main

import (
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// tokenUser is a throw-away user of the API server, for the tests of roles.
type tokenUser struct{ name, token string }

// roles are the users, each in the group sluice-test:ROLE and with no right but
// what a test binds to that group.
var roles = []string{"provider", "operator", "developer"}

// pki is where the control plane's keys and certificates are.
const pki = work + "/pki"

// control starts the API server, and makes what others need to reach it.
func (s *supervisor) control() error {
	if err := os.MkdirAll(pki, 0o755); err != nil {
		return err
	}
	if err := s.commands(); err != nil {
		return err
	}
	if err := s.credentials(); err != nil {
		return err
	}
	return s.apiServer()
}

// controllers starts the rest of the control plane, which ends where the API
// server does not know yet what it may do.
func (s *supervisor) controllers() error {
	a, err := readAuthority(pki + "/ca")
	if err != nil {
		return err
	}
	for program, more := range map[string][]string{
		"kube-scheduler": nil,
		"kube-controller-manager": {
			"--root-ca-file=" + a.file, "--service-account-private-key-file=" + pki + "/accounts.key",
			"--cluster-signing-cert-file=" + a.file, "--cluster-signing-key-file=" + pki + "/ca.key",
			"--use-service-account-credentials=true", "--cluster-cidr=" + podNetwork, "--allocate-node-cidrs=false",
		},
	} {
		file := filepath.Join(pki, program+".kubeconfig")
		if err := a.kubeconfig(file, identity{name: "system:" + program}); err != nil {
			return err
		}
		// Without an election it begins at once.
		args := []string{s.plan.Kubernetes, program, "--kubeconfig=" + file, "--authentication-kubeconfig=" + file,
			"--authorization-kubeconfig=" + file, "--leader-elect=false", "--kube-api-qps=500", "--kube-api-burst=1000"}
		if err := s.keep(program, append(args, more...)...); err != nil {
			return err
		}
	}
	return nil
}

// commands puts kubectl where commands in the cluster find it.
func (s *supervisor) commands() error {
	bin := filepath.Join(work, "bin")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return err
	}
	for _, name := range []string{"kubectl", "kubernetes"} {
		if err := os.Symlink(s.plan.Kubernetes, filepath.Join(bin, name)); err != nil {
			return err
		}
	}
	return nil
}

// credentials makes the keys, certificates and users of the control plane.
func (s *supervisor) credentials() error {
	a, err := newAuthority(pki+"/ca", "cluster")
	if err != nil {
		return err
	}
	front, err := newAuthority(pki+"/front-ca", "front-proxy")
	if err != nil {
		return err
	}
	if err := front.issue(pki+"/front", identity{name: "front-proxy"}); err != nil {
		return err
	}
	if _, err := newAuthority(pki+"/accounts", "accounts"); err != nil {
		return err
	}
	serving := identity{name: "kube-apiserver", addresses: []string{
		s.plan.address(), firstService, "127.0.0.1", "localhost", "kubernetes", "kubernetes.default",
		"kubernetes.default.svc", "kubernetes.default.svc.cluster.local",
	}}
	if err := a.issue(pki+"/apiserver", serving); err != nil {
		return err
	}
	if err := a.issue(pki+"/kubelet-client", identity{name: "kube-apiserver-kubelet-client", group: "system:masters"}); err != nil {
		return err
	}
	var users []tokenUser
	var lines strings.Builder
	for _, role := range roles {
		user := tokenUser{name: role, token: rand.Text()}
		users = append(users, user)
		fmt.Fprintf(&lines, "%s,%s,%s,sluice-test:%s\n", user.token, role, role, role)
	}
	if err := os.WriteFile(pki+"/tokens.csv", []byte(lines.String()), 0o600); err != nil {
		return err
	}
	return a.kubeconfig(kubeconfig, identity{name: "admin", group: "system:masters"}, users...)
}

// apiServer starts the API server and its store, whose data need not survive a
// loss of power.
func (s *supervisor) apiServer() error {
	const store = "http://127.0.0.1:2379"
	if err := s.keep("etcd", s.plan.Kubernetes, "etcd", "--data-dir="+filepath.Join(work, "etcd"), "--unsafe-no-fsync",
		"--listen-client-urls="+store, "--advertise-client-urls="+store, "--listen-peer-urls=http://127.0.0.1:0", "--log-level=warn"); err != nil {
		return err
	}
	return s.keep("kube-apiserver", s.plan.Kubernetes, "kube-apiserver",
		"--etcd-servers="+store, "--advertise-address="+s.plan.address(), "--secure-port=6443",
		"--service-cluster-ip-range="+serviceNetwork, "--allow-privileged=true",
		"--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction",
		"--client-ca-file="+pki+"/ca.crt", "--token-auth-file="+pki+"/tokens.csv",
		"--tls-cert-file="+pki+"/apiserver.crt", "--tls-private-key-file="+pki+"/apiserver.key",
		"--kubelet-preferred-address-types=InternalIP", "--kubelet-certificate-authority="+pki+"/ca.crt",
		"--kubelet-client-certificate="+pki+"/kubelet-client.crt", "--kubelet-client-key="+pki+"/kubelet-client.key",
		"--service-account-issuer=https://kubernetes.default.svc", "--service-account-key-file="+pki+"/accounts.crt",
		"--service-account-signing-key-file="+pki+"/accounts.key",
		"--requestheader-client-ca-file="+pki+"/front-ca.crt", "--requestheader-allowed-names=front-proxy",
		"--requestheader-username-headers=X-Remote-User", "--requestheader-group-headers=X-Remote-Group",
		"--requestheader-extra-headers-prefix=X-Remote-Extra-",
		"--proxy-client-cert-file="+pki+"/front.crt", "--proxy-client-key-file="+pki+"/front.key")
}
