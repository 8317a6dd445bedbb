package main

import (
	"context"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"time"
)

var (
	wrkRequests = regexp.MustCompile(`(\d+) requests in`)
	wrkErrors   = regexp.MustCompile(`Socket errors: .*|Non-2xx or 3xx responses: .*`)
)

// wrk loads address over keep-alive connections and returns the number of
// requests. A failed request is an error: what did not work cannot be compared.
func wrk(ctx context.Context, address string, connections int, duration time.Duration) (int, error) {
	output, err := exec.CommandContext(ctx, "wrk", "-t1", "--timeout=60s", fmt.Sprint("-c", connections),
		fmt.Sprintf("-d%ds", max(1, int(duration.Seconds()))), address).CombinedOutput()
	if err != nil {
		return 0, fmt.Errorf("wrk: %w: %s", err, output)
	}
	if failed := wrkErrors.Find(output); failed != nil {
		return 0, fmt.Errorf("wrk against %s: %s", address, failed)
	}
	match := wrkRequests.FindSubmatch(output)
	if match == nil {
		return 0, fmt.Errorf("wrk printed no number of requests: %s", output)
	}
	return strconv.Atoi(string(match[1]))
}
