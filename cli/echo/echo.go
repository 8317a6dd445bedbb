// Package echo is a small HTTP server for demos and tests. It answers every
// request with what it saw of it, so that a person sees what a gateway did.
package echo

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/coder/websocket"
)

// MaxDelay bounds the delay that a request may ask for.
const MaxDelay = time.Minute

// maxMessage bounds a WebSocket message, in bytes.
const maxMessage = 1 << 20

// Answer is the JSON body of a response.
type Answer struct {
	// Name is that of the server.
	Name     string      `json:"name"`
	Method   string      `json:"method"`
	Host     string      `json:"host"`
	Path     string      `json:"path"`
	Query    string      `json:"query,omitempty"`
	Protocol string      `json:"protocol"`
	Headers  http.Header `json:"headers"`
	// BodyBytes is the length of the request's body.
	BodyBytes int64 `json:"bodyBytes"`
}

// Handler answers as the server of that name. Query parameters change the
// answer: status=503 its status, delay=1s when it comes. The path /ws speaks
// WebSocket and sends back what it gets.
func Handler(name string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/ws" && r.Header.Get("Upgrade") != "" {
			echoMessages(w, r)
			return
		}
		status, delay, err := wishes(r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		bytes, err := io.Copy(io.Discard, r.Body)
		if err != nil || !wait(r.Context(), delay) {
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(Answer{ // it fails only where nobody is left to read it
			Name: name, Method: r.Method, Host: r.Host, Path: r.URL.EscapedPath(), Query: r.URL.RawQuery,
			Protocol: r.Proto, Headers: r.Header, BodyBytes: bytes,
		})
	})
}

// wishes reads the status and the delay that the query asks for.
func wishes(r *http.Request) (status int, delay time.Duration, err error) {
	status = http.StatusOK
	query := r.URL.Query()
	if s := query.Get("status"); s != "" {
		if status, err = strconv.Atoi(s); err != nil || status < 200 || status > 599 {
			return 0, 0, fmt.Errorf("status=%s: want a number from 200 to 599", s)
		}
	}
	if s := query.Get("delay"); s != "" {
		if delay, err = time.ParseDuration(s); err != nil || delay < 0 || delay > MaxDelay {
			return 0, 0, fmt.Errorf("delay=%s: want a duration up to %v, such as 250ms", s, MaxDelay)
		}
	}
	return status, delay, nil
}

// wait reports whether ctx lasted for the delay.
func wait(ctx context.Context, delay time.Duration) bool {
	if delay == 0 {
		return true
	}
	select {
	case <-time.After(delay):
		return true
	case <-ctx.Done():
		return false
	}
}

func echoMessages(w http.ResponseWriter, r *http.Request) {
	// Any origin may talk to it: it has nothing to protect.
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
	if err != nil {
		return // Accept has answered
	}
	defer conn.CloseNow()
	conn.SetReadLimit(maxMessage)
	for {
		kind, message, err := conn.Read(r.Context())
		if err != nil {
			return
		}
		if err := conn.Write(r.Context(), kind, message); err != nil {
			return
		}
	}
}
