"""The KQL of the Azure template, bound by Microsoft's binder and run on sample rows."""
