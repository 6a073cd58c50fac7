"""ProcessBench and friends: loaders, metrics, statistics, reports. No model code."""
