package conformance

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"os"
	"reflect"
	"sync"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/sluicegateway/sluice/control"
	"github.com/sluicegateway/sluice/control/snapshot"
	"github.com/sluicegateway/sluice/control/status"
	"github.com/sluicegateway/sluice/control/translate"
)

// hostAddress is what a Gateway reports that leaves the choice of an address to Sluice.
var hostAddress = netip.MustParseAddr("127.0.30.1")

func (c *cluster) newControl(dataPlane control.DataPlane) *control.Control {
	return control.New(control.Options{
		Translate: translate.Options{ControllerName: controllerName, HostAddresses: []netip.Addr{hostAddress}},
		DataPlane: dataPlane,
		Log:       slog.New(slog.NewTextHandler(os.Stderr, nil)),
		Applied:   c.noteApplied,
	})
}

// run has the controller work until the test ends.
func (c *cluster) run(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := c.control.Run(ctx, c); !errors.Is(err, context.Canceled) {
			t.Errorf("the control loop ended: %v", err)
		}
	})
	running.Go(func() {
		if err := c.writeStatuses(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("a status cannot be written: %v", err)
		}
	})
	t.Cleanup(func() { cancel(); running.Wait() })
}

// Run hands each change to the control loop until ctx ends.
func (c *cluster) Run(ctx context.Context, update func(control.Update)) error {
	for {
		select {
		case change := <-c.changes:
			update(control.Update{Changes: []snapshot.Change{change}})
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (c *cluster) tell(change snapshot.Change) {
	if change.Key.Kind != "" {
		c.changes <- change
	}
}

// withAddress is a copy of the object for Sluice. If it is a Gateway without an
// address, it gets one.
func (c *cluster) withAddress(stored client.Object) snapshot.Object {
	fresh := stored.DeepCopyObject().(client.Object)
	gateway, ok := fresh.(*gatewayv1.Gateway)
	if !ok || len(gateway.Spec.Addresses) > 0 {
		return fresh
	}
	name := client.ObjectKeyFromObject(stored)
	if !c.addresses[name].IsValid() {
		c.addresses[name] = netip.AddrFrom4([4]byte{127, 0, 10, byte(len(c.addresses) + 1)})
	}
	gateway.Spec.Addresses = []gatewayv1.GatewaySpecAddress{ipAddress(c.addresses[name].String())}
	return gateway
}

func ipAddress(value string) gatewayv1.GatewaySpecAddress {
	return gatewayv1.GatewaySpecAddress{Type: new(gatewayv1.IPAddressType), Value: value}
}

func (c *cluster) noteApplied(*control.State, control.Changed) {
	select {
	case c.applied <- struct{}{}:
	default:
	}
}

// writeStatuses writes statuses after each change, until ctx ends.
func (c *cluster) writeStatuses(ctx context.Context) error {
	for {
		select {
		case <-c.applied:
			if err := c.writeStatusesOf(ctx, c.control.State()); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (c *cluster) writeStatusesOf(ctx context.Context, state *control.State) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for key, object := range state.Snapshot.All() {
		said := state.Status(key)
		if said.Empty() {
			continue
		}
		stored, err := c.get(ctx, object.(client.Object))
		if apierrors.IsNotFound(err) {
			continue
		} else if err != nil {
			return err
		}
		next := status.On(stored, said, controllerName)
		if reflect.DeepEqual(next, snapshot.Object(stored)) {
			continue
		}
		if err := c.store.Status().Update(ctx, next.(client.Object)); err != nil {
			return err
		}
	}
	return nil
}
