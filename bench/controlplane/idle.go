package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
)

// settling is how long a Pod is left alone before its memory is read. What a
// change leaves behind is given back within it.
const settling = 30 * time.Second

// idle starts Sluice's Pods anew and says what they take with one Gateway and no
// request.
func idle(ctx context.Context, b *bench) error {
	if err := b.restart(ctx); err != nil {
		return err
	}
	if _, err := b.gateway(ctx, "gateway"); err != nil {
		return err
	}
	if err := pause(ctx, settling); err != nil {
		return err
	}
	before, err := b.usage(ctx)
	if err != nil {
		return err
	}
	if err := pause(ctx, settling); err != nil {
		return err
	}
	after, err := b.usage(ctx)
	if err != nil {
		return err
	}
	r, u := &b.report, after.largest()
	atMost(r, "working set of the Pod with one Gateway, as the kubelet says", u.workingSet, 32*mebibyte)
	r.found("of it anonymous", u.anonymous)
	r.found("resident, with the pages of the program's file that are mapped", u.resident)
	r.found("processors' time by time", after.since(before))
	return nil
}

// restart deletes Sluice's Pods and waits until there are as many ready new ones.
func (b *bench) restart(ctx context.Context) error {
	old, err := b.replicas(ctx)
	if err != nil {
		return err
	}
	for _, pod := range old {
		if err := b.core.CoreV1().Pods(b.installation).Delete(ctx, pod.Name, metav1.DeleteOptions{}); err != nil {
			return err
		}
	}
	err = wait.PollUntilContextTimeout(ctx, time.Second, 3*time.Minute, true, func(ctx context.Context) (bool, error) {
		pods, err := b.replicas(ctx)
		return err == nil && len(pods) >= len(old) && !slices.ContainsFunc(pods, unready), nil
	})
	if err != nil {
		return fmt.Errorf("the Pods in namespace %s are not ready again: %w", b.installation, err)
	}
	return nil
}

func unready(pod corev1.Pod) bool {
	return !slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

// pause waits, or returns why it should not.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
