package kube_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/yaml"

	"github.com/sluicegateway/sluice/control/snapshot"
	"github.com/sluicegateway/sluice/control/source/kube"
)

const controller = "sluice.dev/gateway-controller"

// author is a replica that writes statuses and what Gateways need.
type author struct {
	source   *kube.Source
	statuses *kube.StatusWriter
	placer   *kube.Placer
	stop     func()

	mu      sync.Mutex
	log     bytes.Buffer
	refused []string
}

// newAuthor starts one that has read all that the server has. It leads if asked to.
func newAuthor(t *testing.T, server *apiServer, leads bool) *author {
	t.Helper()
	return newAuthorOf(t, server, controller, leads)
}

// newAuthorOf starts one of an installation with another name.
func newAuthorOf(t *testing.T, server *apiServer, controller gatewayv1.GatewayController, leads bool) *author {
	t.Helper()
	return newAuthorWith(t, server, kube.PlaceOptions{Controller: controller}, leads)
}

func newAuthorWith(t *testing.T, server *apiServer, options kube.PlaceOptions, leads bool) *author {
	t.Helper()
	controller := options.Controller
	a, client := &author{}, clientBy(t, &server.net, controller)
	log := slog.New(slog.NewTextHandler(a, nil))
	a.source = kube.New(kube.Options{Client: client, Namespace: ownNamespace, Log: log, Seen: func(key snapshot.Key) {
		a.statuses.Seen(key)
		a.placer.Seen(key)
	}})
	a.statuses = kube.NewStatusWriter(kube.StatusOptions{Client: client, Source: a.source, Controller: controller, Log: log})
	options.Client, options.Source, options.Log, options.Refused = client, a.source, log, a.refuse
	a.placer = kube.NewPlacer(options)
	ctx, cancel := context.WithCancel(t.Context())
	read := make(chan struct{})
	var parts sync.WaitGroup
	parts.Go(func() {
		var first sync.Once
		_ = a.source.Run(ctx, func(kube.Update) { first.Do(func() { close(read) }) })
	})
	parts.Go(func() { a.statuses.Run(ctx) })
	parts.Go(func() { a.placer.Run(ctx) })
	a.stop = sync.OnceFunc(func() {
		cancel()
		parts.Wait()
	})
	t.Cleanup(a.stop)
	<-read
	if leads {
		a.lead(true)
	}
	return a
}

func (a *author) lead(leads bool) {
	a.statuses.Lead(leads)
	a.placer.Lead(leads)
}

func (a *author) refuse(gateway snapshot.Key, why string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.refused = append(a.refused, gateway.Namespace+"/"+gateway.Name+": "+why)
}

// refusals are those that were told since the last call.
func (a *author) refusals() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	told := a.refused
	a.refused = nil
	return told
}

// Write takes what is logged.
func (a *author) Write(line []byte) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.log.Write(line)
}

func (a *author) logged(text string) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return strings.Count(a.log.String(), text)
}

// pass lets fake time pass, and all that it brings about.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// writes is how many writing requests there were.
func (s *apiServer) written() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for what, count := range s.requests {
		if verb, _, _ := strings.Cut(what, " "); verb != "get" && verb != "list" && verb != "watch" {
			n += count
		}
	}
	return n
}

func (s *apiServer) object(key snapshot.Key) snapshot.Object {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.objects[key]
}

// apply applies an object as another manager.
func (s *apiServer) apply(t *testing.T, manager string, key snapshot.Key, part, patch string) {
	t.Helper()
	s.send(t, "PATCH", key, "application/apply-patch+yaml", part+"?force=true&fieldManager="+manager, patch)
}

func gateway(name string) *gatewayv1.Gateway {
	return &gatewayv1.Gateway{ObjectMeta: named("shop", name), Spec: gatewayv1.GatewaySpec{GatewayClassName: "sluice"}}
}

func class(name, of string) *gatewayv1.GatewayClass {
	return &gatewayv1.GatewayClass{ObjectMeta: named("", name), Spec: gatewayv1.GatewayClassSpec{ControllerName: gatewayv1.GatewayController(of)}}
}

func key(kind snapshot.Kind, name string) snapshot.Key {
	return snapshot.Key{Kind: kind, Namespace: "shop", Name: name}
}

func is(conditionType string, status metav1.ConditionStatus) metav1.Condition {
	return metav1.Condition{Type: conditionType, Status: status, Reason: conditionType, ObservedGeneration: 1}
}

// yamlOf is an object as a person would apply it.
func yamlOf(t *testing.T, object snapshot.Object) string {
	t.Helper()
	text, err := yaml.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
