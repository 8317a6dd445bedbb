package kube_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"

	"github.com/sluicegateway/sluice/api/v1alpha1"
	"github.com/sluicegateway/sluice/control/provision"
	"github.com/sluicegateway/sluice/control/snapshot"
	"github.com/sluicegateway/sluice/control/source/kube"
)

var ownLease = snapshot.Key{Kind: snapshot.KindLease, Namespace: ownNamespace, Name: "sluice-1"}

type speaker struct {
	*kube.ServingWriter
	mu  sync.Mutex
	log bytes.Buffer
}

// Write takes what is logged.
func (s *speaker) Write(line []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.Write(line)
}

func (s *speaker) logged(text string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Count(s.log.String(), text)
}

// newSpeaker starts what says what replica sluice-1 serves.
func newSpeaker(t *testing.T, server *apiServer) *speaker {
	s := &speaker{}
	w := follow(t, server)
	s.ServingWriter = kube.NewServingWriter(kube.ServingOptions{
		Client: server.client(t), Latest: w.source.Latest, Namespace: ownNamespace, Pod: "sluice-1", PodUID: "pod-uid", Log: slog.New(slog.NewTextHandler(s, nil)),
	})
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { s.Run(ctx) })
	t.Cleanup(func() { cancel(); running.Wait() })
	pass(time.Second)
	return s
}

func serving(digest string, gateways ...string) map[string]provision.Serving {
	all := map[string]provision.Serving{}
	for _, g := range gateways {
		all[g] = provision.Serving{Digest: digest, Ports: []uint16{10000}}
	}
	return all
}

// annotation is what the server has of what the replica serves.
func annotation(server *apiServer) string {
	lease, _ := server.object(ownLease).(*coordinationv1.Lease)
	if lease == nil {
		return ""
	}
	return lease.Annotations[v1alpha1.AnnotationServing]
}

// What a replica serves stands on a Lease that goes with its Pod, and is written
// where it changes.
func TestServingIsOnALeaseOfThePod(t *testing.T) {
	bubble(t, func(t *testing.T, server *apiServer) {
		s := newSpeaker(t, server)
		if server.written() != 0 {
			t.Error("something is said before anything was set")
		}
		s.Set(serving("x", "shop/b", "shop/a"))
		pass(time.Minute)
		s.Set(serving("x", "shop/a", "shop/b"))
		pass(time.Minute)
		expect(t, "serving", annotation(server),
			`{"shop/a":{"digest":"x","ports":[10000]},"shop/b":{"digest":"x","ports":[10000]}}`)
		lease := server.object(ownLease)
		owners := lease.GetOwnerReferences()
		if len(owners) != 1 || owners[0].APIVersion != "v1" || owners[0].Kind != "Pod" || owners[0].Name != "sluice-1" || owners[0].UID != "pod-uid" {
			t.Errorf("owners %v", owners)
		}
		if lease.GetLabels()[v1alpha1.LabelReplica] != "true" {
			t.Errorf("labels %v", lease.GetLabels())
		}
		if n := server.written(); n != 1 {
			t.Errorf("%d writes, want 1", n)
		}
		s.Set(nil)
		pass(time.Second)
		expect(t, "nothing served", annotation(server), "{}")
	})
}

// The first is written at once, many changes by few writes, and the last is right.
func TestServingIsNotWrittenTooOften(t *testing.T) {
	bubble(t, func(t *testing.T, server *apiServer) {
		s := newSpeaker(t, server)
		for i := range 1000 {
			s.Set(serving(fmt.Sprint(i), "shop/gw"))
			pass(time.Millisecond)
			if i == 0 && server.written() != 1 {
				t.Error("the first is not written at once")
			}
		}
		pass(time.Second)
		if n := server.written(); n < 5 || n > 12 {
			t.Errorf("%d writes in a second", n)
		}
		expect(t, "serving", annotation(server), `{"shop/gw":{"digest":"999","ports":[10000]}}`)
	})
}

// A Lease that somebody deleted or changed, or that is of an earlier start, is
// written again.
func TestServingIsMended(t *testing.T) {
	bubble(t, func(t *testing.T, server *apiServer) {
		old := &coordinationv1.Lease{ObjectMeta: replica("sluice-1")}
		old.Annotations = map[string]string{v1alpha1.AnnotationServing: `{"shop/old":{"digest":"y"}}`}
		server.put(old)
		s := newSpeaker(t, server)
		s.Set(serving("x", "shop/gw"))
		want := `{"shop/gw":{"digest":"x","ports":[10000]}}`
		pass(time.Second)
		expect(t, "after a restart", annotation(server), want)
		server.remove(ownLease)
		pass(10 * time.Second)
		expect(t, "after it was deleted", annotation(server), want)
		server.put(old)
		pass(10 * time.Second)
		expect(t, "after it was changed", annotation(server), want)
		before := server.written()
		if pass(time.Hour); server.written() != before {
			t.Errorf("%d writes without a reason", server.written()-before)
		}
	})
}

// What is more than an annotation holds is left out, the largest first, and the log
// says so.
func TestServingHasALimit(t *testing.T) {
	bubble(t, func(t *testing.T, server *apiServer) {
		s := newSpeaker(t, server)
		var names []string
		for i := range 4000 {
			names = append(names, fmt.Sprintf("namespace-of-a-team/gateway-%04d", i))
		}
		all := serving("0123456789abcdef", names...)
		all["a/large"] = provision.Serving{Digest: "x", Ports: make([]uint16, 100_000)}
		s.Set(all)
		pass(time.Second)
		var said map[string]provision.Serving
		if err := json.Unmarshal([]byte(annotation(server)), &said); err != nil || len(annotation(server)) > 200<<10 {
			t.Fatalf("%d bytes: %v", len(annotation(server)), err)
		}
		_, first := said[names[0]]
		_, large := said["a/large"]
		if !first || large || len(said) < 2000 || s.logged("the Gateways with the most listeners") != 1 {
			t.Errorf("%d Gateways are said, and the log: %s", len(said), s.log.String())
		}
	})
}

// Failures pass, and a missing right is said once.
func TestServingIsTriedAgain(t *testing.T) {
	for _, code := range []int{http.StatusInternalServerError, http.StatusForbidden} {
		t.Run(fmt.Sprint(code), func(t *testing.T) {
			bubble(t, func(t *testing.T, server *apiServer) {
				s := newSpeaker(t, server)
				server.refuse(code, "patch leases")
				s.Set(serving("x", "shop/gw"))
				pass(time.Minute)
				if n := server.written(); n < 5 || n > 40 {
					t.Errorf("%d writes in a minute", n)
				}
				if n := s.logged("WARN"); (n == 1) != (code == http.StatusForbidden) {
					t.Errorf("%d warnings:\n%s", n, s.log.String())
				}
				s.Set(serving("y", "shop/gw"))
				server.refuse(0, "patch leases")
				pass(6 * time.Second)
				expect(t, "serving", annotation(server), `{"shop/gw":{"digest":"y","ports":[10000]}}`)
			})
		})
	}
}
