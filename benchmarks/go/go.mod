module rerankd/benchmarks/gateway

go 1.21
