module github.com/sluicegateway/sluice/bench

go 1.26.0
