package kube

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"sync"
	"time"

	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sluicegateway/sluice/api/v1alpha1"
	"github.com/sluicegateway/sluice/control/provision"
	"github.com/sluicegateway/sluice/control/snapshot"
)

// PlaceOptions are what a Placer works with.
type PlaceOptions struct {
	Client *Client
	Source *Source
	Log    *slog.Logger
	// Refused is called with why the cluster did not take what a Gateway needs, and
	// with "" when it has after all.
	Refused func(gateway snapshot.Key, why string)
}

// Placer puts into the cluster what Gateways need, and removes what they need no
// more, while its replica leads. It touches only what Sluice made for that
// Gateway. Its methods may be called from any goroutine.
type Placer struct {
	options PlaceOptions
	writer  *writer

	mu      sync.Mutex
	wants   map[snapshot.Key]provision.Wanted
	applied map[snapshot.Key]snapshot.Object // as they were wanted
	refused map[snapshot.Key]string
}

// NewPlacer makes a Placer that has nothing to do.
func NewPlacer(options PlaceOptions) *Placer {
	p := &Placer{
		options: options,
		wants:   map[snapshot.Key]provision.Wanted{}, applied: map[snapshot.Key]snapshot.Object{}, refused: map[snapshot.Key]string{},
	}
	p.writer = newWriter(p.place)
	return p
}

// Set says what a Gateway needs. What is wanted must not be changed later.
func (p *Placer) Set(gateway snapshot.Key, wanted provision.Wanted) {
	p.mu.Lock()
	p.wants[gateway] = wanted
	p.mu.Unlock()
	p.writer.add(gateway)
}

// Seen says that an object has changed at the API server.
func (p *Placer) Seen(key snapshot.Key) {
	if key.Kind != snapshot.KindService && key.Kind != snapshot.KindEndpointSlice {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for gateway, wanted := range p.wants {
		if gateway.Namespace == key.Namespace && slices.Contains(keysOf(wanted), key) {
			p.writer.add(gateway)
		}
	}
}

// Lead begins or ends the time in which this replica writes.
func (p *Placer) Lead(leads bool) {
	p.writer.lead(leads)
	if !leads {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.applied)
	for _, service := range p.options.Source.all(snapshot.KindService) {
		if gateway, ok := gatewayOf(service); ok {
			p.writer.add(gateway) // perhaps one that is gone
		}
	}
	for gateway := range p.wants {
		p.writer.add(gateway)
	}
}

// Run works until ctx ends.
func (p *Placer) Run(ctx context.Context) { p.writer.run(ctx) }

// place brings what exists for one Gateway to what it needs.
func (p *Placer) place(ctx context.Context, gateway snapshot.Key) time.Duration {
	p.mu.Lock()
	wanted := p.wants[gateway]
	p.mu.Unlock()
	err := p.bring(ctx, gateway, wanted)
	if err == nil {
		err = p.clear(ctx, gateway, wanted)
	}
	switch {
	case ctx.Err() != nil:
		return 0
	case err == nil:
		p.answer(gateway, "")
		return 0
	case isRefusal(err):
		p.options.Log.Warn("the cluster refuses what a Gateway needs", "gateway", gateway.String(), "error", firstLine(err))
		p.answer(gateway, firstLine(err))
		return resigned
	}
	p.options.Log.Debug("what a Gateway needs was not written and will be tried again", "gateway", gateway.String(), "error", firstLine(err))
	return backoff
}

// errForeign says that somebody else has an object's name.
var errForeign = errors.New("it exists and Sluice did not make it: remove it, or name the Gateway otherwise")

func isRefusal(err error) bool {
	return errors.Is(err, errForeign) || apierrors.IsInvalid(err) || apierrors.IsForbidden(err) || apierrors.IsBadRequest(err)
}

// answer passes on what the cluster says of the Gateway's needs, if it is new.
func (p *Placer) answer(gateway snapshot.Key, why string) {
	p.mu.Lock()
	before := p.refused[gateway]
	if why == "" {
		delete(p.refused, gateway)
	} else {
		p.refused[gateway] = why
	}
	p.mu.Unlock()
	if before != why {
		p.options.Refused(gateway, why)
	}
}

// bring applies the Service and then its slices, which it owns.
func (p *Placer) bring(ctx context.Context, gateway snapshot.Key, wanted provision.Wanted) error {
	if wanted.Service == nil {
		return nil
	}
	service, err := p.apply(ctx, gateway, wanted.Service)
	if err != nil {
		return err
	}
	for _, slice := range wanted.Slices {
		slice = slice.DeepCopy()
		slice.OwnerReferences = []metav1.OwnerReference{{
			APIVersion: "v1", Kind: string(snapshot.KindService), Name: service.GetName(), UID: service.GetUID(), Controller: new(true),
		}}
		if _, err := p.apply(ctx, gateway, slice); err != nil {
			return err
		}
	}
	return nil
}

// apply writes the object where it is not as it is wanted, and returns it.
func (p *Placer) apply(ctx context.Context, gateway snapshot.Key, want snapshot.Object) (snapshot.Object, error) {
	key := snapshot.KeyOf(want)
	have := p.options.Source.Latest(key)
	if have != nil && !madeBySluice(have) {
		return nil, fmt.Errorf("%s: %w", key, errForeign)
	}
	content, err := contentOf(want)
	if err != nil {
		return nil, err
	}
	fields := content.(map[string]any)
	delete(fields, "status")
	if metadata, ok := fields["metadata"].(map[string]any); ok {
		delete(metadata, "creationTimestamp")
	}
	p.mu.Lock()
	before := p.applied[key]
	p.mu.Unlock()
	if have != nil && reflect.DeepEqual(before, want) {
		current, err := contentOf(have)
		if err != nil || within(fields, current) {
			return have, err
		}
	}
	have, err = p.options.Client.Apply(ctx, key, fields, "")
	p.writer.wrote(gateway)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	p.mu.Lock()
	p.applied[key] = want
	p.mu.Unlock()
	return have, nil
}

// within reports whether all that is wanted is there, whatever else is.
func within(want, have any) bool {
	switch want := want.(type) {
	case map[string]any:
		have, _ := have.(map[string]any)
		for name, value := range want {
			if name != "apiVersion" && name != "kind" && !within(value, have[name]) {
				return false
			}
		}
		return true
	case []any:
		have, _ := have.([]any)
		if len(have) != len(want) {
			return false
		}
		for i := range want {
			if !within(want[i], have[i]) {
				return false
			}
		}
		return true
	}
	return reflect.DeepEqual(want, have)
}

// clear deletes what was made for the Gateway and is wanted no more.
func (p *Placer) clear(ctx context.Context, gateway snapshot.Key, wanted provision.Wanted) error {
	keep := keysOf(wanted)
	services := map[string]bool{}
	for _, service := range p.options.Source.all(snapshot.KindService) {
		if of, ok := gatewayOf(service); !ok || of != gateway {
			continue
		}
		services[service.GetName()] = true
		if err := p.delete(ctx, gateway, service, keep); err != nil {
			return err
		}
	}
	for _, slice := range p.options.Source.all(snapshot.KindEndpointSlice) {
		if slice.GetNamespace() != gateway.Namespace || !madeBySluice(slice) || !services[slice.GetLabels()[discoveryv1.LabelServiceName]] {
			continue
		}
		if err := p.delete(ctx, gateway, slice, keep); err != nil {
			return err
		}
	}
	return nil
}

func (p *Placer) delete(ctx context.Context, gateway snapshot.Key, object snapshot.Object, keep []snapshot.Key) error {
	key := snapshot.KeyOf(object)
	if slices.Contains(keep, key) || object.GetDeletionTimestamp() != nil {
		return nil
	}
	p.mu.Lock()
	delete(p.applied, key)
	p.mu.Unlock()
	p.writer.wrote(gateway)
	if err := p.options.Client.Delete(ctx, key, object.GetUID()); err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("%s: %w", key, err)
	}
	return nil
}

func keysOf(wanted provision.Wanted) []snapshot.Key {
	var keys []snapshot.Key
	if wanted.Service != nil {
		keys = append(keys, snapshot.KeyOf(wanted.Service))
	}
	for _, slice := range wanted.Slices {
		keys = append(keys, snapshot.KeyOf(slice))
	}
	return keys
}

func madeBySluice(object snapshot.Object) bool {
	return object.GetLabels()[v1alpha1.LabelManagedBy] == v1alpha1.ManagedBySluice
}

// gatewayOf is the Gateway that Sluice made the Service for.
func gatewayOf(service snapshot.Object) (snapshot.Key, bool) {
	owner := metav1.GetControllerOf(service)
	if !madeBySluice(service) || owner == nil || owner.Kind != string(snapshot.KindGateway) {
		return snapshot.Key{}, false
	}
	return snapshot.Key{Kind: snapshot.KindGateway, Namespace: service.GetNamespace(), Name: owner.Name}, true
}
