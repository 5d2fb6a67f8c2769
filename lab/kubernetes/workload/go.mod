module finwatch.example/lab/workload

go 1.19
