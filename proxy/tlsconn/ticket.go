package tlsconn

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"strings"
	"sync/atomic"
)

// Tickets seal the sessions that clients may resume. All loops of a process
// share one, so that a ticket is good on each; it is safe for concurrent use.
//
// What a ticket opens is decided here and not by crypto/tls, where it follows
// from which keys the Config has that GetConfigForClient returns, what Clone
// copies of them, and what happens to be in the session. A ticket is sealed
// together with the policy of its listener and the server name, and does not
// open with others: no listener takes the sessions of another one, however
// their configurations come and go.
type Tickets struct {
	keys atomic.Pointer[ticketKeys]
}

// ticketKeys are the key in use and the one before it.
type ticketKeys struct{ now, before cipher.AEAD }

// NewTickets makes tickets with a key of their own.
func NewTickets() *Tickets {
	t := new(Tickets)
	t.Rotate()
	return t
}

// Rotate begins to use a new key. Tickets of the key before the last one are
// void. One goroutine at a time calls it.
func (t *Tickets) Rotate() {
	var key [32]byte
	rand.Read(key[:])
	block, err := aes.NewCipher(key[:])
	if err != nil {
		panic(err) // of the key's length only
	}
	now, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic(err) // of ciphers that are not AES only
	}
	next := &ticketKeys{now: now, before: now}
	if last := t.keys.Load(); last != nil {
		next.before = last.now
	}
	t.keys.Store(next)
}

func (t *Tickets) seal(session, binding []byte) []byte {
	return t.keys.Load().now.Seal(nil, nil, session, binding)
}

// open returns nil for a ticket that is not ours, or is bound to something else.
func (t *Tickets) open(ticket, binding []byte) []byte {
	keys := t.keys.Load()
	for _, key := range []cipher.AEAD{keys.now, keys.before} {
		if session, err := key.Open(nil, nil, ticket, binding); err == nil {
			return session
		}
	}
	return nil
}

// policyOf identifies a listener and whom it lets in. Its certificates are no
// part of it: rotating them ends no session.
func policyOf(o *Options) (sum [sha256.Size]byte) {
	h := sha256.New()
	h.Write(binary.AppendUvarint(nil, uint64(len(o.Name))))
	h.Write([]byte(o.Name))
	h.Write([]byte{byte(o.Clients)})
	if o.Authorities != nil {
		h.Write(o.Authorities.sum[:])
	}
	h.Sum(sum[:0])
	return sum
}

// binding is what a ticket belongs to (RFC 6066 section 3 wants the name too).
func (p *Profile) binding(name string) []byte {
	return append(p.policy[:len(p.policy):len(p.policy)], strings.ToLower(name)...)
}

func (p *Profile) wrap(state tls.ConnectionState, session *tls.SessionState) ([]byte, error) {
	content, err := session.Bytes()
	if err != nil {
		return nil, err
	}
	return p.tickets.seal(content, p.binding(state.ServerName)), nil
}

// unwrap returns nil where the handshake is to be a full one.
func (p *Profile) unwrap(ticket []byte, state tls.ConnectionState) (*tls.SessionState, error) {
	content := p.tickets.open(ticket, p.binding(state.ServerName))
	if content == nil {
		return nil, nil
	}
	session, err := tls.ParseSessionState(content)
	if err != nil {
		return nil, nil
	}
	return session, nil
}
