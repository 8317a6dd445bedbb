package kube_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sluicegateway/sluice/control/snapshot"
	"github.com/sluicegateway/sluice/control/source/kube"
)

var leadership = snapshot.Key{Kind: snapshot.KindLease, Namespace: ownNamespace, Name: "sluice"}

// election is replicas that elect a leader, each with a way of its own to the server.
type election struct {
	t      *testing.T
	server *apiServer

	mu      sync.Mutex
	leaders map[string]time.Time // since when
	log     strings.Builder
}

func newElection(t *testing.T, server *apiServer) *election {
	return &election{t: t, server: server, leaders: map[string]time.Time{}}
}

// elector is one that takes part.
type elector struct {
	net *network
	// leave ends its part; with its net down it is as if it crashed.
	leave func()
}

func (e *election) join(name string) *elector {
	n := &network{accepting: make(chan net.Conn), closed: make(chan struct{})}
	server := &http.Server{Handler: e.server}
	go func() { _ = server.Serve(n) }()
	ctx, cancel := context.WithCancel(e.t.Context())
	part := kube.NewElection(kube.ElectionOptions{
		Client: clientBy(e.t, n, controller), Namespace: ownNamespace, Name: "sluice", Identity: name, Log: slog.New(slog.NewTextHandler(e, nil)),
	})
	var running sync.WaitGroup
	running.Go(func() { part.Run(ctx, func(leads bool) { e.lead(name, leads) }) })
	leave := sync.OnceFunc(func() {
		cancel()
		running.Wait()
		_ = server.Close()
		n.cut(true)
	})
	e.t.Cleanup(leave)
	return &elector{net: n, leave: leave}
}

func (e *election) lead(name string, leads bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if _, led := e.leaders[name]; led == leads {
		e.t.Errorf("%s is told twice that leading is %v", name, leads)
	}
	delete(e.leaders, name)
	if leads && len(e.leaders) > 0 {
		e.t.Errorf("%s leads beside %v", name, e.leaders)
	}
	if leads {
		e.leaders[name] = time.Now()
	}
}

// Write takes what is logged.
func (e *election) Write(line []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.log.Write(line)
}

// said is what was logged so far.
func (e *election) said() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.log.String()
}

func (e *election) leader() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	for name := range e.leaders {
		return name
	}
	return ""
}

// wait waits until somebody leads, or nobody, and reports how long that took.
func (e *election) wait(leader string, limit time.Duration) time.Duration {
	e.t.Helper()
	begin := time.Now()
	for e.leader() != leader {
		if pass(10 * time.Millisecond); time.Since(begin) > limit {
			e.t.Fatalf("%q leads after %v, not %q", e.leader(), limit, leader)
		}
	}
	return time.Since(begin)
}

func TestTheFirstLeadsAtOnceAndStays(t *testing.T) {
	bubble(t, func(t *testing.T, server *apiServer) {
		e := newElection(t, server)
		e.join("a")
		e.wait("a", 100*time.Millisecond)
		e.join("b")
		for range 300 {
			pass(time.Second)
			if e.leader() != "a" {
				t.Fatalf("%q leads", e.leader())
			}
		}
		if n := server.asked("put leases"); n > 180 {
			t.Errorf("%d renewals in 300 s", n)
		}
	})
}

// A replica that ends gives the lease back, and another leads within moments.
func TestALeaderThatEndsIsFollowedSoon(t *testing.T) {
	bubble(t, func(t *testing.T, server *apiServer) {
		e := newElection(t, server)
		a := e.join("a")
		e.wait("a", time.Second)
		e.join("b")
		pass(10 * time.Second)
		a.leave()
		e.wait("b", 1200*time.Millisecond)
	})
}

// A replica that is cut off stops before its lease can be taken by another.
func TestALeaderThatIsCutOffStopsInTime(t *testing.T) {
	for _, hanging := range []bool{false, true} {
		t.Run(fmt.Sprintf("hanging=%v", hanging), func(t *testing.T) {
			bubble(t, func(t *testing.T, server *apiServer) {
				e := newElection(t, server)
				a := e.join("a")
				e.wait("a", time.Second)
				e.join("b")
				pass(9 * time.Second)
				if hanging {
					defer close(server.stall("get leases"))
				} else {
					a.net.cut(true)
				}
				if d := e.wait("", 10*time.Second); d < 7*time.Second {
					t.Errorf("it stops after %v already", d)
				}
				if hanging {
					pass(time.Minute)
					return // nobody is answered
				}
				e.wait("b", 9*time.Second)
				a.net.cut(false)
				pass(time.Minute)
				e.wait("b", 0)
			})
		})
	}
}

// After the API server was away there is a leader again, and never two.
func TestTheServerIsAway(t *testing.T) {
	for _, away := range []time.Duration{time.Second, 8 * time.Second, 12 * time.Second, time.Minute} {
		t.Run(away.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T, server *apiServer) {
				e := newElection(t, server)
				all := []*elector{e.join("a"), e.join("b"), e.join("c")}
				pass(5 * time.Second)
				first := e.leader()
				for _, each := range all {
					each.net.cut(true)
				}
				pass(away)
				for _, each := range all {
					each.net.cut(false)
				}
				pass(5 * time.Second)
				if e.leader() == "" || away <= 8*time.Second && e.leader() != first {
					t.Errorf("%q leads, before it was %q", e.leader(), first)
				}
			})
		})
	}
}

// Times that others wrote mean nothing: only how long the Lease was seen unchanged.
func TestClocksNeedNotAgree(t *testing.T) {
	for _, skew := range []time.Duration{-24 * time.Hour, 24 * time.Hour} {
		t.Run(skew.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T, server *apiServer) {
				lease := &coordinationv1.Lease{ObjectMeta: named(ownNamespace, "sluice")}
				lease.Spec.HolderIdentity, lease.Spec.LeaseDurationSeconds = new("other"), new(int32(15))
				renew := func() {
					lease.Spec.RenewTime = &metav1.MicroTime{Time: time.Now().Add(skew)}
					server.put(lease)
				}
				renew()
				e := newElection(t, server)
				e.join("a")
				for range 20 {
					pass(10 * time.Second)
					renew()
				}
				e.wait("", 0)
				if d := e.wait("a", 20*time.Second); d < 15*time.Second {
					t.Errorf("it leads %v after the last renewal", d)
				}
			})
		})
	}
}

// A holder whose Lease somebody has deleted makes it again; others leave it the time.
func TestADeletedLease(t *testing.T) {
	bubble(t, func(t *testing.T, server *apiServer) {
		e := newElection(t, server)
		e.join("a")
		e.wait("a", time.Second)
		e.join("b")
		for range 100 {
			pass(5 * time.Second)
			server.remove(leadership)
		}
		e.wait("a", 0)
	})
}

// Whoever changes something else in the Lease causes a conflict and no more.
func TestAConflictIsNoLoss(t *testing.T) {
	bubble(t, func(t *testing.T, server *apiServer) {
		e := newElection(t, server)
		e.join("a")
		e.wait("a", time.Second)
		e.join("b")
		server.refuse(http.StatusConflict, "put leases")
		pass(6 * time.Second)
		server.refuse(0, "put leases")
		pass(time.Minute)
		e.wait("a", 0)
		lease := server.object(leadership).DeepCopyObject().(*coordinationv1.Lease)
		lease.Labels = map[string]string{"a": "b"}
		server.put(lease)
		pass(5 * time.Second)
		if server.object(leadership).GetLabels()["a"] != "b" || e.leader() != "a" {
			t.Errorf("%q leads, labels %v", e.leader(), server.object(leadership).GetLabels())
		}
	})
}

// A replica that may not take part says so, once, with the right that it lacks. For a
// moment an API server refuses what it will allow, when it has just started.
func TestAnElectionThatIsForbidden(t *testing.T) {
	bubble(t, func(t *testing.T, server *apiServer) {
		server.refuse(http.StatusForbidden, "get leases")
		e := newElection(t, server)
		e.join("a")
		pass(2 * time.Second)
		if said := e.said(); strings.Contains(said, "level=WARN") {
			t.Errorf("said at once: %s", said)
		}
		pass(time.Minute)
		if n := strings.Count(e.said(), "create, get and update for leases.coordination.k8s.io"); n != 1 {
			t.Errorf("said %d times", n)
		}
		server.refuse(0, "get leases")
		e.wait("a", 2*time.Second)
	})
}

// Whatever happens there are never two leaders, and in the end there is one.
func TestRandomElections(t *testing.T) {
	for seed := range uint64(8) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			bubble(t, func(t *testing.T, server *apiServer) {
				random := rand.New(rand.NewPCG(seed, 0))
				e := newElection(t, server)
				names := []string{"a", "b", "c"}
				all := map[string]*elector{}
				for _, name := range names {
					all[name] = e.join(name)
				}
				var stalled chan struct{}
				what := []string{"get leases", "put leases", "post leases"}
				for range 100 {
					name := names[random.IntN(len(names))]
					switch random.IntN(8) {
					case 0:
						all[name].net.cut(true)
					case 1, 2:
						all[name].net.cut(false)
					case 3:
						all[name].net.cut(random.IntN(2) == 0) // if down, it crashes
						all[name].leave()
						all[name] = e.join(name)
					case 4:
						if stalled == nil {
							stalled = server.stall(what[random.IntN(len(what))])
						}
					case 5:
						if stalled != nil {
							close(stalled)
							stalled = nil
						}
					case 6:
						server.refuse(http.StatusInternalServerError, what[random.IntN(len(what))])
					case 7:
						server.refuse(0, what...)
					}
					pass(time.Duration(random.IntN(12_000)) * time.Millisecond)
				}
				if stalled != nil {
					close(stalled)
				}
				server.refuse(0, what...)
				for _, each := range all {
					each.net.cut(false)
				}
				pass(40 * time.Second)
				if e.leader() == "" {
					t.Error("nobody leads")
				}
			})
		})
	}
}
