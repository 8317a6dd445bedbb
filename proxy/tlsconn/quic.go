package tlsconn

import (
	"crypto/tls"
	"errors"
	"strings"
)

// quicSettings are those of a listener for QUIC, which has TLS 1.3 alone (RFC
// 9001 section 4.2), or nil where the listener does without that.
func quicSettings(settings *tls.Config) *tls.Config {
	if settings.MaxVersion != 0 && settings.MaxVersion < tls.VersionTLS13 {
		return nil
	}
	quic := settings.Clone()
	quic.MinVersion = tls.VersionTLS13
	quic.NextProtos = http3
	return quic
}

var http3 = []string{"h3"}

// errUnserved makes crypto/tls abort a handshake of QUIC.
var errUnserved = errors.New("no listener speaks HTTP/3 for this server name")

// QUIC are the settings of a socket for QUIC. choose has the profile for a server
// name, in lower case and empty where the client gives none; without one, or
// where the profile has no TLS 1.3, the handshake is aborted. It is called on
// goroutines of QUIC's.
func QUIC(choose func(name string) *Profile) *tls.Config {
	return &tls.Config{
		MinVersion:             tls.VersionTLS13,
		NextProtos:             http3,
		SessionTicketsDisabled: true,
		GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			if len(hello.ServerName) > maxName {
				return nil, errUnserved
			}
			p := choose(strings.ToLower(hello.ServerName))
			if !p.SpeaksQUIC() {
				return nil, errUnserved
			}
			return p.quic, nil
		},
	}
}

// SpeaksQUIC reports whether the profile has the TLS 1.3 that QUIC needs. nil has not.
func (p *Profile) SpeaksQUIC() bool { return p != nil && p.quic != nil }

// PeerOf is what a handshake of QUIC by this profile has shown.
func (p *Profile) PeerOf(state tls.ConnectionState) *Peer {
	return &Peer{name: strings.ToLower(state.ServerName), chains: p.chainsOf(state)}
}
