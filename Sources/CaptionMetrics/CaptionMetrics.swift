// CaptionMetrics
