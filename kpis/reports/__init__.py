"""Reports: made on schedule or when asked, frozen with their figures, read by those whom they are for."""
