package config_test

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"

	"github.com/sluicegateway/sluice/config"
)

func TestValidateAcceptsWhatIsValid(t *testing.T) {
	if err := whole().Validate(); err != nil {
		t.Error(err)
	}
}

// Each case breaks one thing of a valid configuration.
func TestValidateFinds(t *testing.T) {
	rule := func(d *config.Delta) *config.Rule { return &d.Routes[0].Rules[0] }
	rpc := func(d *config.Delta) *config.Match { return &d.Routes[1].Rules[0].Matches[2] }
	tests := []struct {
		want string
		do   func(d *config.Delta)
	}{
		{"has no name", func(d *config.Delta) { d.Backends[0].Name = "" }},
		{"stands twice", func(d *config.Delta) { d.Listeners = append(d.Listeners, d.Listeners[0]) }},
		{"has no port", func(d *config.Delta) { d.Listeners[0].Port = 0 }},
		{"although HTTP shows none", func(d *config.Delta) { d.Listeners[0].Certificates = d.Listeners[1].Certificates }},
		{"has no certificate", func(d *config.Delta) { d.Listeners[1].Certificates = nil }},
		{"a certificate without a name", func(d *config.Delta) { d.Listeners[1].Certificates[0].Name = "" }},
		{"failed to find any PEM data in certificate", func(d *config.Delta) { d.Listeners[1].Certificates[0].Chain = []byte("x") }},
		{"failed to find any PEM data in key", func(d *config.Delta) { d.Listeners[1].Certificates[0].Key = []byte("x") }},
		{"does not match", func(d *config.Delta) { _, d.Listeners[1].Certificates[0].Key = selfSigned("other.example") }},
		{"larger than 64 KiB", func(d *config.Delta) { d.Listeners[1].Certificates[0].Chain = bytes.Repeat(chain, 64<<10/len(chain)+1) }},
		{"the key than 16 KiB", func(d *config.Delta) { d.Listeners[1].Certificates[0].Key = bytes.Repeat(key, 16<<10/len(key)+1) }},
		{"RSA key has 4097 bits", func(d *config.Delta) { d.Listeners[1].Certificates[0].Chain = withRSA(4097) }},
		{"although HTTP does not", func(d *config.Delta) { d.Listeners[0].TLS = d.Listeners[1].TLS }},
		{`certificate "secret/default/gw": tls`, func(d *config.Delta) { d.Listeners[1].BackendCertificate.Key = nil }},
		{`TLS version "1.1"`, func(d *config.Delta) { d.Listeners[1].TLS.MinVersion = "1.1" }},
		{"TLS 1.3 is the lowest version and 1.2", func(d *config.Delta) { d.Listeners[1].TLS.MinVersion, d.Listeners[1].TLS.MaxVersion = "1.3", "1.2" }},
		{`cipher "TLS_RSA_WITH_RC4_128_SHA"`, func(d *config.Delta) { d.Listeners[1].TLS.Ciphers[0] = "TLS_RSA_WITH_RC4_128_SHA" }},
		{`protocol "h3" of ALPN`, func(d *config.Delta) { d.Listeners[1].TLS.ALPN[0] = "h3" }},
		{"or stands twice", func(d *config.Delta) { d.Listeners[1].TLS.ALPN[1] = "h2" }},
		{`client authentication "None"`, func(d *config.Delta) { d.Listeners[1].TLS.ClientAuth = "None" }},
		{`clients-ca" has no certificate`, func(d *config.Delta) { d.Listeners[1].TLS.ClientCAs[0].PEM = key }},
		{`clients-ca": x509`, func(d *config.Delta) {
			d.Listeners[1].TLS.ClientCAs[0].PEM = []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
		}},
		{"trusted proxies is none", func(d *config.Delta) { d.Listeners[1].Client.TrustedProxies[0] = netip.Prefix{} }},
		{"limit of clients is negative", func(d *config.Delta) { d.Listeners[1].Client.Limits.Streams = -1 }},
		{"timeout of clients is negative", func(d *config.Delta) { d.Listeners[1].Client.Timeouts.Idle = -1 }},
		{`protocol "TCP"`, func(d *config.Delta) { d.Listeners[0].Protocol = "TCP" }},
		{"not in lower case", func(d *config.Delta) { d.Listeners[0].Hostname = "Shop.example" }},
		{"wildcard elsewhere", func(d *config.Delta) { d.Routes[0].Attachments[0].Hostnames = []string{"a.*.example"} }},
		{`protocol "grpc"`, func(d *config.Delta) { d.Backends[0].Protocol = "grpc" }},
		{"has 2 of address, host and unix", func(d *config.Delta) { d.Backends[0].Endpoints[0].Unix = "/a" }},
		{"endpoint 2 has no port", func(d *config.Delta) { d.Backends[0].Endpoints[2].Port = 0 }},
		{"endpoint 0 has no port", func(d *config.Delta) {
			d.Backends[0].Endpoints[0].Address = netip.MustParseAddrPort("10.0.0.1:0")
		}},
		{"its fault has the status 200", func(d *config.Delta) { d.Backends[0].Fault = &config.Fault{Status: 200} }},
		{`its TLS has the hostname ""`, func(d *config.Delta) { d.Backends[0].TLS = &config.BackendTLS{System: true} }},
		{"one without a wildcard", func(d *config.Delta) { d.Backends[0].TLS = &config.BackendTLS{Hostname: "*.example", System: true} }},
		{"trusts nobody", func(d *config.Delta) { d.Backends[0].TLS = &config.BackendTLS{Hostname: "a.example"} }},
		{"subjectAltName 0 needs one", func(d *config.Delta) {
			d.Backends[0].TLS = &config.BackendTLS{Hostname: "a.example", System: true, SANs: []config.SubjectAltName{{}}}
		}},
		{"subjectAltName 0: parse", func(d *config.Delta) {
			d.Backends[0].TLS = &config.BackendTLS{Hostname: "a.example", System: true, SANs: []config.SubjectAltName{{URI: "a://%"}}}
		}},
		{"attached to no listener", func(d *config.Delta) { d.Routes[0].Attachments = nil }},
		{"has no hostname", func(d *config.Delta) { d.Routes[0].Attachments[0].Hostnames = nil }},
		{`listener "none", which does not exist`, func(d *config.Delta) { d.Routes[0].Attachments[0].Listener = "none" }},
		{`backend "none", which does not exist`, func(d *config.Delta) { rule(d).Backends[0].Backend = "none" }},
		{"has no match", func(d *config.Delta) { rule(d).Matches = nil }},
		{"does not begin with /", func(d *config.Delta) { rule(d).Matches[0].Path.Value = "a" }},
		{`path match "Glob"`, func(d *config.Delta) { rule(d).Matches[0].Path.Type = "Glob" }},
		{"missing closing )", func(d *config.Delta) { rule(d).Matches[0].Query[0].Value = "(" }},
		{`header "Env" is not in lower case`, func(d *config.Delta) { rule(d).Matches[0].Headers[0].Name = "Env" }},
		{"matched twice", func(d *config.Delta) {
			rule(d).Matches[0].Headers = append(rule(d).Matches[0].Headers, rule(d).Matches[0].Headers[0])
		}},
		{"is not of the route's kind", func(d *config.Delta) { d.Routes[1].GRPC = false }},
		{"something of HTTP beside it", func(d *config.Delta) { rpc(d).Method = "GET" }},
		{"unexpected )", func(d *config.Delta) { rpc(d).RPC.Service = ")" }},
		{`"Get/List" has a /`, func(d *config.Delta) { rpc(d).RPC = &config.RPCMatch{Method: "Get/List"} }},
		{"a redirect and a rewrite", func(d *config.Delta) { rule(d).Filters.Redirect = &config.Redirect{Status: 302} }},
		{"redirect has the status 305", func(d *config.Delta) { rule(d).Backends[0].Filters.Redirect.Status = 305 }},
		{"mirrors 2/1", func(d *config.Delta) {
			rule(d).Filters.Mirrors[0].Numerator, rule(d).Filters.Mirrors[0].Denominator = 2, 1
		}},
		{"negative timeout", func(d *config.Delta) { rule(d).Timeouts.Request = -1 }},
		{"negative number of attempts", func(d *config.Delta) { rule(d).Retry.Attempts = -1 }},
		{"has the weight -1", func(d *config.Delta) { rule(d).Backends[0].Weight = -1 }},
		{"no error", func(d *config.Delta) { d.Routes[0].Rules[1].Fault.Status = 200 }},
	}
	for _, test := range tests {
		t.Run(test.want, func(t *testing.T) {
			d := whole()
			test.do(d)
			if err := d.Validate(); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want one with %q", err, test.want)
			}
		})
	}
}

// A delta without Reset may refer to what it does not have.
func TestValidateOfAChange(t *testing.T) {
	d := whole()
	d.Reset, d.Listeners, d.Backends = false, nil, nil
	if err := d.Validate(); err != nil {
		t.Error(err)
	}
}
