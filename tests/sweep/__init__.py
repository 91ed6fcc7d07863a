"""`make sweep`: whether what runs by hand in an environment runs as a service of ours, too."""
