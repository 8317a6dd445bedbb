package kube

import (
	"maps"
	"strings"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/sluicegateway/sluice/control/snapshot"
)

// Write is what writing requests have in common that are counted together.
type Write struct {
	Kind snapshot.Kind
	// Part is the subresource that was written, empty for the object itself.
	Part string
	// Result is "ok", the API server's reason for refusing in lower case, or
	// "unreachable".
	Result string
}

// writes counts requests.
type writes struct {
	mu   sync.Mutex
	done map[Write]uint64
}

// count takes the end of a request.
func (w *writes) count(kind snapshot.Kind, part string, err error) {
	result := "ok"
	if err != nil {
		result = strings.ToLower(string(apierrors.ReasonForError(err)))
	}
	if result == "" {
		result = "unreachable"
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.done == nil {
		w.done = map[Write]uint64{}
	}
	w.done[Write{kind, part, result}]++
}

// Writes says how many writing requests there were since the start.
func (c *Client) Writes() map[Write]uint64 {
	c.writes.mu.Lock()
	defer c.writes.mu.Unlock()
	return maps.Clone(c.writes.done)
}
