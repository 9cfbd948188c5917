module rerankd/benchmarks/gateway

go 1.19
